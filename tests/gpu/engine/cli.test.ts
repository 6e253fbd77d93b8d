import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { main } from "../../../src/cli/merge";
import { memoryFile } from "../../../src/core/files";
import type { Checkpoint } from "../../../src/core/tensors";
import { valueAt } from "../../../src/core/varying";
import { openCheckpoint } from "../../../src/formats/checkpoint";
import { importMergekit } from "../../../src/merge/mergekit/import";
import { expectClose } from "../../support/compare";
import { bench, digest, recipeFor, tensorBytesOf, valuesOf, watchedGpu } from "../../support/engineBench";
import { fixtureCheckpoint, fixtureJson, fixturePath, fixtureTensors } from "../../support/nodeCheckpoint";

const SET = "qwen2-tiny-f32";
const BASE = fixturePath(SET, "base");
const TUNED = fixturePath(SET, "finetuned");
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const tokens = fixtureJson<Record<string, number[][]>>(SET, "tokens.json").fisher_N4_L16!;
const work = mkdtempSync(join(tmpdir(), "merge-test-"));
let errors: string[] = [];

beforeEach(() => {
  errors = [];
  vi.spyOn(console, "error").mockImplementation((...parts: unknown[]) => void errors.push(parts.join(" ")));
  vi.spyOn(console, "log").mockImplementation(() => undefined);
  vi.stubEnv("INIT_CWD", work);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

const folder = async (path: string): Promise<Checkpoint> => openCheckpoint("out", readdirSync(path).map((name) => memoryFile(name, new Uint8Array(readFileSync(join(path, name))))));
const digests = (path: string): Record<string, string> => Object.fromEntries(readdirSync(path).sort().map((name) => [name, digest(new Uint8Array(readFileSync(join(path, name))))]));
const put = (name: string, text: string): string => {
  writeFileSync(join(work, name), text);
  return name;
};
const usual = ["--base", BASE, "--model", TUNED, "--quiet"];

describe("a merge in a terminal", () => {
  test("writes the files of the engine, a report, the Fisher, and a recipe that makes the same files again", async () => {
    put("tokens.json", JSON.stringify(tokens));
    const settings = ["--set", "r=0.2", "--set", "outsideT=base", "--set", "calib=off"];
    // Relative paths are taken from where the command was called, and folders on the way are made.
    expect(await main([...usual, "--method", "fim-ties", ...settings, "--tokens", "tokens.json", "--out", "deep/one", "--report", "reports/one.json", "--fisher", "one.safetensors", "--yaml", "reports/one.yaml", "--dtype", "float32"]), errors.join("\n")).toBe(0);
    const one = join(work, "deep", "one");
    expect(readdirSync(one).sort()).toEqual(["README.md", "config.json", "model.safetensors", "recipe.json"]);
    expect(readdirSync(join(work, "deep")), "nothing hidden is left").toEqual(["one"]);

    const b = bench((await watchedGpu()).gpu, { base: await fixtureCheckpoint(SET, "base"), finetuned: await fixtureCheckpoint(SET, "finetuned") });
    const engine = await b.merge(recipeFor("fim-ties", { r: 0.2, outsideT: "base", calib: "off" }, { tokens, output: { dtype: "F32" } }));
    expect(await tensorBytesOf(await folder(one))).toEqual(await tensorBytesOf(engine.checkpoint));

    const golden = await fixtureTensors(SET, "fisher.safetensors");
    const fisher = await openCheckpoint("fisher", [memoryFile("config.json", new TextEncoder().encode("{}")), memoryFile("model.safetensors", new Uint8Array(readFileSync(join(work, "one.safetensors"))))]);
    expect([...fisher.tensors.keys()].sort()).toEqual([...golden.tensors.keys()].sort());
    for (const name of golden.tensors.keys()) {
      const want = await valuesOf(golden as Checkpoint, name);
      expectClose(await valuesOf(fisher, name), want, { atol: 1e-4 * Math.max(...want), rtol: 1e-3 }, name);
    }

    const report = JSON.parse(readFileSync(join(work, "reports", "one.json"), "utf8")) as Record<string, never> & { tensors: Record<string, Record<string, number>>; layers: Record<string, number>[]; losses: number[] };
    expect(Object.keys(report)).toEqual(expect.arrayContaining(["losses", "tensors", "layers", "calibration", "timings", "adapter", "recipe", "recipeHash"]));
    expect(report.losses).toHaveLength(4);
    const name = "model.layers.0.self_attn.q_proj.weight";
    expect(Object.keys(report.tensors[name]!)).toEqual(expect.arrayContaining(["fisherMean", "delta2Mean", "threshold", "kept", "elements", "delta2ShareKept", "alpha"]));
    expect(report.tensors[name]!.kept).toBe(820);
    expect(report.tensors["model.embed_tokens.weight"]!.kept).toBeNull();
    expect(report.layers.map((l) => Object.keys(l))).toEqual(Array.from({ length: 3 }, () => expect.arrayContaining(["fisher", "delta2", "s", "alpha"]) as string[]));
    expect(report.timings).toMatchObject({ measureMs: expect.any(Number) as number, exportMs: expect.any(Number) as number });

    const { recipe: forMergekit } = importMergekit(readFileSync(join(work, "reports", "one.yaml"), "utf8"));
    const place = { name, layer: 0, layers: 3 };
    expect(forMergekit).toMatchObject({ method: "ties", params: { divisor: "none" }, output: { dtype: "F32" } });
    expect(valueAt(forMergekit.models[0]!.weight!, place)).toBeCloseTo(report.tensors[name]!.alpha!, 8);
    expect(valueAt(forMergekit.vary!.density!, place)).toBe(0.2);

    // Without --fisher the recipe that was written has keepFisher in it, so replay with it.
    expect(await main([...usual, "--recipe", "deep/one/recipe.json", "--out", "two", "--fisher", "two.safetensors"]), errors.join("\n")).toBe(0);
    expect(digests(join(work, "two"))).toEqual(digests(one));
    expect(readFileSync(join(work, "two.safetensors")).equals(readFileSync(join(work, "one.safetensors")))).toBe(true);
  });

  test("several models with weights, and several files", async () => {
    expect(await main([...usual, "--model", BASE, "--weight", "0.5", "--weight", "0.25", "--method", "task-arithmetic", "--out", "several", "--report", "several.json"]), errors.join("\n")).toBe(0);
    const [merged, theta0, theta1] = [await folder(join(work, "several")), await fixtureCheckpoint(SET, "base"), await fixtureCheckpoint(SET, "finetuned")];
    const name = "model.layers.2.mlp.down_proj.weight";
    const [m, a, t] = await Promise.all([merged, theta0, theta1].map((c) => valuesOf(c, name)));
    expectClose(m!, a!.map((v, i) => v + 0.5 * (t![i]! - v)), { atol: 1e-6 }, name);
    const report = JSON.parse(readFileSync(join(work, "several.json"), "utf8")) as { tensors: Record<string, { alpha: number[] }> };
    expect(report.tensors[name]!.alpha).toEqual([0.5, 0.25]);
  });

  test("numbers over depth, and tensors left to the base", async () => {
    expect(await main([...usual, "--method", "task-arithmetic", "--weight", "[1,0.5]", "--vary", 'lambda=[{"filter":"mlp","value":[0,1]},{"value":0.25}]', "--exclude", "*layernorm*", "--exclude", "lm_head*", "--out", "varied", "--report", "varied.json"]), errors.join("\n")).toBe(0);
    const { tensors } = JSON.parse(readFileSync(join(work, "varied.json"), "utf8")) as { tensors: Record<string, { alpha: number }> };
    expect([0, 1, 2].map((l) => tensors[`model.layers.${l}.mlp.down_proj.weight`]!.alpha)).toEqual([0, 0.375, 0.5]);
    expect([0, 1, 2].map((l) => tensors[`model.layers.${l}.self_attn.q_proj.weight`]!.alpha)).toEqual([0.25, 0.1875, 0.125]);
    const [merged, base] = [await folder(join(work, "varied")), await fixtureCheckpoint(SET, "base")];
    for (const name of ["lm_head.weight", "model.layers.1.input_layernorm.weight"]) {
      expect(tensors[name]).toBeUndefined();
      expect(await valuesOf(merged, name)).toEqual(await valuesOf(base, name));
    }
  });

  test("an empty folder may be written to", async () => {
    mkdirSync(join(work, "empty"));
    expect(await main([...usual, "--method", "linear", "--out", "empty"]), errors.join("\n")).toBe(0);
    expect(existsSync(join(work, "empty", "model.safetensors"))).toBe(true);
  });

  test("the command itself: exit codes, one sentence, relative paths", () => {
    const run = (...args: string[]) => spawnSync(process.execPath, [join(ROOT, "src/cli/run.mjs"), "merge", ...args], { cwd: ROOT, env: { ...process.env, INIT_CWD: work }, encoding: "utf8" });
    const good = run(...usual, "--method", "task-arithmetic", "--set", "lambda=0.5", "--out", "spawned");
    expect(good.status, good.stderr).toBe(0);
    expect(good.stdout).toMatch(/files, .* bytes in /);
    expect(readdirSync(join(work, "spawned"))).toContain("model.safetensors");
    const bad = run(...usual, "--method", "task-arithmetics", "--out", "never");
    expect(bad.status).toBe(1);
    expect(bad.stderr.split("\n").filter((line) => /no method/.test(line))).toHaveLength(1);
    expect(bad.stderr).not.toMatch(/at .*\.ts:\d+/);
  });
});

describe("bad input: exit code 1, one sentence, nothing left behind", () => {
  const recipe = JSON.stringify(recipeFor("fim-ties"));
  const out = ["--out", "out"];
  const fim = [...usual, ...out, "--method", "fim-ties"];
  mkdirSync(join(work, "full"));
  put("full/file.txt", "x");
  put("plain", "x");
  put("text.json", "hello");
  put("flat.json", "[1, 2, 3]");
  put("short.json", "[[1]]");
  put("large.json", "[[1, 99999]]");
  put("other.json", recipe.replace('"name":"base"', `"name":"base","hash":"${"0".repeat(32)}"`));
  put("broken.json", recipe.replace('"fim-ties"', "fim-ties"));
  mkdirSync(join(work, "noweights"));
  put("noweights/config.json", "{}");

  test.each([
    ["no arguments", [], /--base, --model and --out are needed/],
    ["an unknown argument", ["--bass", "x"], /Unknown argument "--bass"/],
    ["a missing value", ["--base"], /--base needs a value/],
    ["a missing base folder", ["--base", "nowhere", "--model", TUNED, ...out, "--method", "linear"], /nowhere: it does not exist/],
    ["a folder without weights", ["--base", "noweights", "--model", TUNED, ...out, "--method", "linear"], /noweights/],
    ["a missing method", [...usual, ...out], /--method is needed/],
    ["an unknown method", [...usual, ...out, "--method", "fim-tie"], /no method "fim-tie"/],
    ["an unknown setting", [...fim, "--set", "gateFaktor=1"], /no setting "gateFaktor".*Did you mean "gateFactor"/],
    ["a setting without a value", [...fim, "--set", "r"], /--set r: expected key=value/],
    ["a setting out of range", [...fim, "--set", "r=1.5"], /"r" is 1.5, expected .* from 0 to 1/],
    ["a choice that is none", [...fim, "--set", "tied=unty"], /--set tied=unty: expected one of untie, tie-as-base, head-from-finetuned/],
    ["an unknown dtype", [...fim, "--dtype", "int8"], /--dtype int8: expected float32, bfloat16 or float16/],
    ["too small files", [...fim, "--max-shard-bytes", "1000"], /maxShardBytes is 1000/],
    ["a size that is no number", [...fim, "--max-shard-bytes", "5GB"], /maxShardBytes is NaN|--max-shard-bytes 5GB/],
    ["too many weights", [...fim, "--weight", "1", "--weight", "2"], /--weight 2: at most one for each --model, of which there are 1/],
    ["a missing token file", [...fim, "--tokens", "none.json"], /none.json: the file does not exist/],
    ["a token file that is no JSON", [...fim, "--tokens", "text.json"], /text.json: it is no valid JSON/],
    ["a flat list of tokens", [...fim, "--tokens", "flat.json"], /flat.json: expected a JSON list of lists/],
    ["a sequence of one token", [...fim, "--tokens", "short.json"], /short.json: expected .* at least 2 token ids/],
    ["a token outside the vocabulary", [...fim, "--tokens", "large.json"], /99999 at position 2/],
    ["a recipe beside a method", [...fim, "--recipe", "other.json"], /--method and --recipe were both given/],
    ["a recipe of other weights", [...usual, ...out, "--recipe", "other.json"], /made with another "base"/],
    ["a recipe that is no JSON", [...usual, ...out, "--recipe", "broken.json"], /Reading the recipe: .*line 1/],
    ["a recipe of one model for two", [...usual, "--model", TUNED, ...out, "--recipe", "other.json"], /names 1 fine-tuned models, but --model was given 2 times/],
    ["a Fisher where there is none", [...usual, ...out, "--method", "linear", "--fisher", "f.safetensors"], /linear takes no Fisher/],
    ["a full output folder", [...usual, "--out", "full", "--method", "linear"], /full: the folder already holds 1 files/],
    ["an output that is a file", [...usual, "--out", "plain", "--method", "linear"], /plain: it is not a folder/],
    ["models of other shapes", ["--base", BASE, "--model", fixturePath("llama-tiny-bf16", "finetuned"), "--quiet", ...out, "--method", "linear"], /cannot be merged/],
  ])("%s", async (_, args, sentence) => {
    const before = readdirSync(work).sort();
    expect(await main(args)).toBe(1);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(sentence);
    expect(errors[0]).not.toMatch(/\n\s+at /);
    expect(readdirSync(work).sort()).toEqual(before);
    expect(readdirSync(join(work, "full"))).toEqual(["file.txt"]);
  });
});
