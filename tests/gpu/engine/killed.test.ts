import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { partialPaths } from "../../../src/cli/diskOutput";
import { digest } from "../../support/engineBench";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "killed-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const digests = (path: string): Record<string, string> => Object.fromEntries(readdirSync(path).sort().map((name) => [name, digest(new Uint8Array(readFileSync(join(path, name))))]));

/** One run of the command; with `killAt`, SIGKILL as soon as the journal says that many bytes are flushed (0: as soon as there is one). */
async function merge(out: string, killAt?: number): Promise<{ code: number | null; signal: string | null; stderr: string }> {
  const args = ["src/cli/run.mjs", "merge", "--base", "public/samples/base", "--model", "public/samples/long-cot", "--method", "fim-ties", "--set", "N=1", "--set", "len=16", "--dtype", "float32", "--max-shard-bytes", String(1 << 20), "--out", out];
  const child = spawn(process.execPath, args, { cwd: ROOT, env: { ...process.env, TRIBUTARY_SOFTWARE_GPU: "1" } });
  let stderr = "";
  child.stderr.on("data", (text: Buffer) => (stderr += text.toString()));
  const { journal } = partialPaths(out);
  const watch = killAt === undefined ? undefined : setInterval(() => {
    if (!existsSync(journal)) return;
    const { note } = JSON.parse(readFileSync(journal, "utf8")) as { note?: { files: { bytes: number }[]; current?: { mark: { bytes: number } } } };
    const flushed = (note?.files.reduce((sum, f) => sum + f.bytes, 0) ?? 0) + (note?.current?.mark.bytes ?? 0);
    if (flushed >= killAt) child.kill("SIGKILL");
  }, 1);
  return new Promise((resolve) => child.on("exit", (code, signal) => {
    clearInterval(watch);
    resolve({ code, signal, stderr });
  }));
}

test("a merge in a terminal that is killed goes on with the same command and writes the same bytes", async () => {
  const whole = await merge(join(work, "whole", "model"));
  expect(whole.code, whole.stderr).toBe(0);
  // The same name: it is part of the recipe.
  const out = join(work, "killed", "model");
  for (const killAt of [0, 600_000, 1_200_000]) {
    const cut = await merge(out, killAt);
    expect(cut.signal, cut.stderr).toBe("SIGKILL");
    expect(existsSync(out), "nothing half-written has the result's name").toBe(false);
  }
  const again = await merge(out);
  expect(again.code, again.stderr).toBe(0);
  expect(again.stderr).toMatch(/Going on with a merge that was cut off: .* of 1\.9. MB are written/);
  expect(again.stderr, "the pass is kept too").not.toContain("Backward");
  expect(digests(out)).toEqual(digests(join(work, "whole", "model")));
  expect(readdirSync(join(work, "killed")), "nothing else is left").toEqual(["model"]);
}, 300_000);
