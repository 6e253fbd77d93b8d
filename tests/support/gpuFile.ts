import { afterAll } from "vitest";
import { forgetTestGpu } from "./gpu";
import { endViews } from "./wrappedGpu";

// Files of the gpu project follow each other in one process, because compiled kernels stay there. Each begins with an empty device.
afterAll(() => {
  forgetTestGpu();
  endViews();
});
