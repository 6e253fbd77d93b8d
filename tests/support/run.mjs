// npm test: installs what is missing, then types, lint and unit beside gpu, then e2e, of which each browser has a core. The last
// line is "N passed, N failed". `npm run check` is types and lint alone; `npm test -- unit gpu` picks parts.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cache, ensureChromium, ensurePackages, fail, root, run } from "../../src/cli/setup.mjs";

const asked = process.argv.slice(2);
const ALL = ["types", "lint", "unit", "gpu", "e2e"];
const parts = asked.length === 0 ? ALL : asked.includes("check") ? ["types", "lint"] : asked;
const unknown = parts.find((part) => !ALL.includes(part));
if (unknown) fail(`Unknown part "${unknown}"; there are ${ALL.join(", ")} and check.`);

ensurePackages();
if (parts.includes("gpu") || parts.includes("e2e")) {
  if (!ensureChromium()) fail("No Chromium was found and none could be installed. Install Chromium or Chrome, or set CHROMIUM_PATH, and run npm test again.");
}
mkdirSync(cache, { recursive: true });

const total = { passed: 0, failed: 0, skipped: 0 };
const lines = [];
function add(name, passed, failed, skipped = 0) {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  lines.push(`${name.padEnd(6)} ${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}`);
}
const script = (path) => join(root, "node_modules", ...path.split("/"));
const node = (path, args, env = {}) => run(process.execPath, [script(path), ...args], { env: { ...process.env, ...env }, shell: false });

/** Runs beside other parts. What it prints comes as it is, or, `held`, when it is over. */
function start(path, args, held = false) {
  const child = spawn(process.execPath, [script(path), ...args], { cwd: root, stdio: ["ignore", held ? "pipe" : "inherit", held ? "pipe" : "inherit"] });
  const printed = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => printed.push(chunk));
  return new Promise((resolve) => {
    child.on("error", () => resolve(1));
    child.on("close", (code) => {
      for (const chunk of printed) process.stdout.write(chunk);
      resolve(code ?? 1);
    });
  });
}

async function checks() {
  if (parts.includes("types")) {
    for (const project of ["src", "src/app", "src/cli", "tests"]) {
      console.log(`types: ${project}`);
      const code = await start("typescript/bin/tsc", ["-p", project]);
      add("types", code === 0 ? 1 : 0, code === 0 ? 0 : 1);
    }
  }
  if (parts.includes("lint")) {
    console.log("lint");
    const code = await start("eslint/bin/eslint.js", ["."]);
    add("lint", code === 0 ? 1 : 0, code === 0 ? 0 : 1);
  }
  if (parts.includes("unit")) await vitest("unit", false);
}

async function vitest(project, held) {
  const out = join(cache, `${project}.json`);
  rmSync(out, { force: true });
  const code = await start("vitest/vitest.mjs", ["run", "--project", project, "--reporter=dot", "--reporter=json", `--outputFile=${out}`], held);
  const report = existsSync(out) ? JSON.parse(readFileSync(out, "utf8")) : undefined;
  // A file that does not load has no tests of its own, yet it failed; so did a run that wrote no report.
  const broken = report?.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0).length ?? 1;
  const failed = (report?.numFailedTests ?? 0) + broken;
  add(project, report?.numPassedTests ?? 0, failed + (code !== 0 && failed === 0 ? 1 : 0), (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0));
}

await Promise.all([checks(), parts.includes("gpu") ? vitest("gpu", parts.length > 1) : undefined]);
if (parts.includes("e2e")) {
  if (node("vite/bin/vite.js", ["build", "--logLevel", "warn"]) !== 0) add("e2e", 0, 1);
  else for (const [project, workers] of [["together", 2], ["alone", 1]]) {
    const out = join(cache, `e2e-${project}.json`);
    rmSync(out, { force: true });
    const code = node("@playwright/test/cli.js", ["test", "-c", "tests/e2e/playwright.config.ts", `--project=${project}`, `--workers=${workers}`], { PLAYWRIGHT_JSON_OUTPUT_FILE: out });
    const stats = existsSync(out) ? JSON.parse(readFileSync(out, "utf8")).stats : undefined;
    const failed = stats?.unexpected ?? 1;
    add("e2e", (stats?.expected ?? 0) + (stats?.flaky ?? 0), failed + (code !== 0 && failed === 0 ? 1 : 0), stats?.skipped ?? 0);
  }
}
console.log(`\n${lines.join("\n")}\n`);
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped ? `, ${total.skipped} skipped` : ""}`);
process.exit(total.failed > 0 ? 1 : 0);
