import { defineConfig } from "@playwright/test";

const port = Number(process.env.E2E_PORT ?? 4199);

// One worker: each test drives a whole browser with a software GPU, and two would share the same cores.
export default defineConfig({
  testDir: ".",
  testMatch: "**/*.spec.ts",
  testIgnore: process.env.SCREENSHOTS ? [] : ["**/screenshots.spec.ts"],
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
