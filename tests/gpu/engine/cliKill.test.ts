import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { digest } from "../../support/engineBench";
import { fixtureJson, fixturePath } from "../../support/nodeCheckpoint";

const SET = "qwen2-tiny-f32";
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "merge-kill-"));
const tokens = join(work, "tokens.json");
writeFileSync(tokens, JSON.stringify(fixtureJson<Record<string, number[][]>>(SET, "tokens.json").fisher_N4_L16));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const command = (out: string): string[] => [join(ROOT, "src/cli/run.mjs"), "merge", "--base", fixturePath(SET, "base"), "--model", fixturePath(SET, "finetuned"), "--method", "fim-ties", "--set", "r=0.2", "--set", "calib=off", "--tokens", tokens, "--out", out, "--work", join(work, "kept")];
const options = { cwd: ROOT, env: { ...process.env, INIT_CWD: work } };
const digests = (out: string): Record<string, string> => Object.fromEntries(readdirSync(join(work, out)).sort().map((name) => [name, digest(new Uint8Array(readFileSync(join(work, out, name))))]));
/** Everything of the journal that the killed process left. */
const journal = (): string[] => readdirSync(join(work, "kept", "tributary-merged.pass")).map(decodeURIComponent).filter((k) => k.startsWith("journal/"));

test("a merge whose process is killed in the backward goes on with the same command, to the same files", async () => {
  const child = spawn(process.execPath, command("cut/merged"), options);
  let said = "";
  child.stderr.on("data", (text: Buffer) => {
    said += text.toString();
    // The first block of the backward is the last of the model.
    if (/Backward/.test(said)) child.kill("SIGKILL");
  });
  expect(await new Promise((resolve) => child.on("exit", (_, signal) => resolve(signal))), said).toBe("SIGKILL");
  expect(journal().some((k) => k.endsWith("/head"))).toBe(true);

  const again = spawnSync(process.execPath, command("cut/merged"), { ...options, encoding: "utf8" });
  expect(again.status, again.stderr).toBe(0);
  expect(again.stderr).toMatch(/^Continues at (the head|block \d+), backward\.$/m);
  expect(readdirSync(join(work, "kept")), "nothing is left of the journal").toEqual([]);

  const whole = spawnSync(process.execPath, command("whole/merged").filter((arg, i, all) => arg !== "--work" && all[i - 1] !== "--work"), { ...options, encoding: "utf8" });
  expect(whole.status, whole.stderr).toBe(0);
  expect(digests("cut/merged")).toEqual(digests("whole/merged"));
});
