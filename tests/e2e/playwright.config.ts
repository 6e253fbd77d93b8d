import { defineConfig } from "@playwright/test";

const port = Number(process.env.E2E_PORT ?? 4199);

/** Tests that hold much work to two seconds or measure memory: another browser beside them would be measured too. */
const ALONE = ["**/cancel.spec.ts", "**/memory.spec.ts"];
const notTests = process.env.SCREENSHOTS ? [] : ["**/screenshots.spec.ts"];

export default defineConfig({
  testDir: ".",
  // `npm test` gives "together" a worker for each of two cores: a browser alone waits, or compiles kernels on one.
  projects: [
    { name: "together", testMatch: "**/*.spec.ts", testIgnore: [...ALONE, ...notTests] },
    { name: "alone", testMatch: ALONE },
  ],
  outputDir: "../../test-results",
  timeout: 120_000,
  expect: { timeout: 20_000 },
  workers: 1,
  fullyParallel: false,
  // On a shared machine one slow moment of the software GPU may cost a test; a second failure is a fault.
  retries: process.env.CI ? 1 : 0,
  reporter: [["line"], ["json"]],
  use: { actionTimeout: 20_000, baseURL: `http://localhost:${port}` },
  webServer: { command: `node ../../node_modules/vite/bin/vite.js preview --port ${port} --strictPort --host localhost ../..`, port, reuseExistingServer: !process.env.CI, stdout: "ignore" },
});
