import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { digest } from "../../support/engineBench";
import { fixturePath } from "../../support/nodeCheckpoint";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "interrupt-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

interface End {
  code: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
  /** Milliseconds from Ctrl C to the end. */
  took: number;
}

/** The merge command in a process of its own; Ctrl C is pressed when `at` appears on its error stream. */
function merge(out: string, at?: RegExp, more: string[] = []): Promise<End> {
  const models = ["--base", fixturePath("qwen2-tiny-f32", "base"), "--model", fixturePath("qwen2-tiny-f32", "finetuned")];
  const child = spawn(process.execPath, ["src/cli/run.mjs", "merge", ...models, "--method", "fim-ties", "--set", "N=8", "--set", "len=32", "--set", "calib=off", "--out", join(work, out), ...more], {
    cwd: ROOT, env: { ...process.env, TRIBUTARY_SOFTWARE_GPU: "1" }, stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  let pressed = 0;
  child.stderr.on("data", (bytes: Buffer) => {
    stderr += bytes.toString();
    if (!at || pressed > 0 || !at.test(stderr)) return;
    pressed = performance.now();
    child.kill("SIGINT");
  });
  return new Promise((resolve) => child.on("exit", (code, signal) => resolve({ code, signal, stderr, took: performance.now() - pressed })));
}
const files = (out: string): [string, string][] => readdirSync(join(work, out)).sort().map((name) => [name, digest(new Uint8Array(readFileSync(join(work, out, name))))]);

test("Ctrl C during a pass ends the command within two seconds, says what is kept, and the same command ends in the same files", { timeout: 300_000 }, async () => {
  const { code, signal, stderr, took } = await merge("one", /Backward/);
  expect({ code, signal }, stderr).toEqual({ code: null, signal: "SIGINT" });
  expect(took).toBeLessThan(2000);
  const last = stderr.trim().split("\n").at(-1)!;
  expect(last).toMatch(/^Stopped\. What is finished is kept beside one: run the same command again to go on, or delete .*\.one\.partial\.pass.* to give it up\.$/);
  expect(existsSync(join(work, "one")), "no output that looks whole").toBe(false);
  expect(readdirSync(work).every((name) => last.includes(name)), "everything that is left is named").toBe(true);

  const again = await merge("one");
  expect(again.code, again.stderr).toBe(0);
  expect(readdirSync(work), "nothing hidden is left").toEqual(["one"]);
  // The recipe, and with it the header of the weights, has the name of the folder.
  const whole = await merge("uninterrupted/one");
  expect(whole.code, whole.stderr).toBe(0);
  expect(files("one")).toEqual(files("uninterrupted/one"));
});

test("Ctrl C takes a Fisher file that is being written away: it cannot be continued", { timeout: 120_000 }, async () => {
  const { signal, stderr } = await merge("three", /Backward/, ["--fisher", join(work, "f.safetensors")]);
  expect(signal, stderr).toBe("SIGINT");
  expect(stderr.trim().split("\n").at(-1)).toMatch(/^Stopped/);
  expect(readdirSync(work).filter((name) => name.startsWith("f.") || name === "three")).toEqual([]);
});
