import { expect, test } from "vitest";
import { ProgressMeter, type Progress } from "../../../src/core/progress";

const states = (progress: Progress | undefined): string => progress?.phases.map((p) => p.state).join(" ") ?? "";

test("a phase that is done stays done while later ones follow, and comes again when a pass goes back", () => {
  let last: Progress | undefined;
  const meter = new ProgressMeter("job", "ingest", ["a", "b", "c"].map((id) => ({ id, label: id })), 10, (progress) => (last = progress));
  meter.phase("a");
  expect(states(last)).toBe("now todo todo");
  meter.phase("b");
  expect(states(last)).toBe("done now todo");
  meter.phase("c");
  expect(states(last)).toBe("done done now");
  meter.phase("b");
  expect(states(last)).toBe("done now todo");
  meter.finish();
  expect(states(last)).toBe("done done done");
  expect(last?.fraction).toBe(1);
});
