import { describe, expect, test } from "vitest";
import { StudioError } from "../../../src/core/errors";
import { memoryFile, type FileSource } from "../../../src/core/files";
import { openCheckpoint } from "../../../src/formats/checkpoint";
import { jsonFile, qwen2Config, weightsFile } from "../../support/models";

const t = (name: string, shape = [2]) => ({ name, dtype: "F32" as const, shape });
const config = jsonFile("config.json", qwen2Config);
const index = (map: Record<string, unknown>, total?: number) => jsonFile("model.safetensors.index.json", { metadata: { total_size: total, extra: 1 }, weight_map: map, more: {} });
const shard = (i: number, of: number) => `model-0000${i}-of-0000${of}.safetensors`;
const [s1, s2] = [shard(1, 2), shard(2, 2)];

async function fault(files: FileSource[]): Promise<[unknown, string]> {
  try {
    await openCheckpoint("math", files);
    return ["opened", ""];
  } catch (error) {
    expect(error).toBeInstanceOf(StudioError);
    const { code, details, message } = error as StudioError;
    expect(code).toBe("bad-file");
    return [details.check, message];
  }
}

describe("ways of being malformed", () => {
  const two = [weightsFile(s1, [t("a")]), weightsFile(s2, [t("b")])];
  test.each<[string, FileSource[], string, RegExp]>([
    ["empty folder", [], "no-weights", /it is empty/],
    ["only a readme", [jsonFile("README.md", "x")], "no-weights", /no \.safetensors/],
    ["only pytorch_model.bin", [config, jsonFile("pytorch_model.bin", "x")], "pickle", /pytorch_model\.bin.*safe_serialization/],
    ["only gguf", [config, jsonFile("math-q4.gguf", "x")], "gguf", /math-q4\.gguf/],
    ["weights in a folder below", [jsonFile("ckpt-5/config.json", {}), weightsFile("ckpt-5/model.safetensors", [t("a")])], "nested", /Choose the folder "ckpt-5"/],
    ["only an adapter", [weightsFile("adapter_model.safetensors", [t("a")])], "adapter", /LoRA/],
    ["config.json missing", [weightsFile("model.safetensors", [t("a")])], "no-config", /no config\.json/],
    ["config.json malformed", [jsonFile("config.json", '{"a":\n 1,}'), weightsFile("model.safetensors", [t("a")])], "malformed-json", /line 2 column 4/],
    ["config.json a list", [jsonFile("config.json", []), weightsFile("model.safetensors", [t("a")])], "json-not-object", /found a list/],
    ["config.json no text", [memoryFile("config.json", new Uint8Array([0xff])), weightsFile("model.safetensors", [t("a")])], "not-text", /UTF-8/],
    ["missing shard", [config, two[0]!, index({ a: s1, b: s2 })], "missing-shard", new RegExp(`names ${s2}`)],
    ["missing shard without index", [config, two[0]!], "missing-shard", /part 2 of 2/],
    ["tensor of the index absent from its shard", [config, ...two, index({ a: s1, b: s2, c: s2 })], "tensor-missing-in-shard", /"c".*does not hold it/],
    ["tensor in another shard than the index says", [config, ...two, index({ a: s2, b: s1 })], "tensor-missing-in-shard", /but it is in/],
    ["tensor of a shard absent from the index", [config, weightsFile(s1, [t("a"), t("x")]), two[1]!, index({ a: s1, b: s2 })], "tensor-not-in-index", /"x"/],
    ["same tensor in two shards", [config, weightsFile(s1, [t("a")]), weightsFile(s2, [t("a")])], "tensor-in-two-shards", /"a" is in/],
    ["path in the index", [config, ...two, index({ a: "../x.safetensors" })], "path-in-index", /\.\.\/x/],
    ["backslash in the index", [config, ...two, index({ a: "..\\x.safetensors" })], "path-in-index", /forged/],
    ["index without weight_map", [config, ...two, jsonFile("model.safetensors.index.json", {})], "index-without-map", /weight_map/],
    ["index with a number for a file", [config, ...two, index({ a: 3 })], "index-without-map", /"a"/],
    ["index is no JSON", [config, ...two, jsonFile("model.safetensors.index.json", "{")], "malformed-json", /index/],
    ["several files without index", [config, weightsFile("a.safetensors", [t("a")]), weightsFile("b.safetensors", [t("b")])], "ambiguous", /2 safetensors files/],
    ["quantised by config", [jsonFile("config.json", { ...qwen2Config, quantization_config: { quant_method: "gptq" } }), weightsFile("model.safetensors", [t("a")])], "quantised", /gptq.*full-precision/],
    ["quantised by tensors", [config, weightsFile("model.safetensors", [t("model.layers.0.mlp.up_proj.qweight")])], "quantised", /qweight/],
  ])("%s", async (_, files, check, sentence) => {
    const [found, message] = await fault(files);
    expect(found).toBe(check);
    expect(message).toMatch(sentence);
  });
  test("a broken header keeps its official name", async () => {
    await expect(openCheckpoint("m", [config, memoryFile("model.safetensors", new Uint8Array(3))])).rejects.toMatchObject({ details: { official: "HeaderTooSmall" } });
  });
});

describe("what opens", () => {
  test("one file; reads go to the right bytes", async () => {
    const file = weightsFile("model.safetensors", [t("a"), t("b", [3])]);
    const whole = await file.read(0, file.size);
    whole.set([1, 2, 3, 4], file.size - 12);
    const c = await openCheckpoint("m", [config, file, jsonFile("tokenizer.json", "{}")]);
    expect([...c.tensors.keys()]).toEqual(["a", "b"]);
    expect([...(await c.read("b", 0, 4))]).toEqual([1, 2, 3, 4]);
    expect((await c.read("b", 12, 0)).length).toBe(0);
    expect(await c.text("tokenizer.json")).toBe("{}");
    expect(await c.text("nothing")).toBeUndefined();
    await expect(c.read("b", 8, 5)).rejects.toThrow(/it has 12/);
    await expect(c.read("z", 0, 1)).rejects.toMatchObject({ details: { official: "TensorNotFound" } });
  });
  test("the index decides which files count", async () => {
    const c = await openCheckpoint("m", [config, weightsFile("model.safetensors", [t("old")]), weightsFile(s1, [t("a")]), weightsFile(s2, [t("b")]), index({ a: s1, b: s2 }, 16)]);
    expect([...c.tensors.keys()]).toEqual(["a", "b"]);
    expect(c.warnings).toEqual([]);
  });
  test("a wrong total_size is a warning", async () => {
    const c = await openCheckpoint("m", [config, weightsFile(s1, [t("a")]), index({ a: s1 }, 9)]);
    expect(c.warnings).toEqual([expect.stringMatching(/total_size of 9 bytes, the tensors have 8/)]);
  });
  test("a complete set without index is a warning", async () => {
    const c = await openCheckpoint("m", [config, weightsFile(s2, [t("b")]), weightsFile(s1, [t("a")])]);
    expect(c.tensors.size).toBe(2);
    expect(c.warnings.length).toBe(1);
  });
  test("an adapter or the authors' own layout beside the model is left alone", async () => {
    const c = await openCheckpoint("m", [config, weightsFile("model.safetensors", [t("a")]), weightsFile("adapter_model.safetensors", [t("x")]), weightsFile("consolidated.safetensors", [t("y")])]);
    expect([...c.tensors.keys()]).toEqual(["a"]);
    expect(c.warnings).toEqual([expect.stringContaining("adapter_model.safetensors")]);
  });
});
