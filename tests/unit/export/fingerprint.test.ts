import { describe, expect, test } from "vitest";
import { identified, type Checkpoint, type Dtype, type TensorInfo, type TensorSource } from "../../../src/core/tensors";
import { fingerprint } from "../../../src/export/fingerprint";
import type { MergeSources, TensorWork } from "../../../src/export/mergeTensor";
import type { OutputTensor } from "../../../src/model/pairing";

const info = (name: string, dtype: Dtype = "BF16", shape = [4, 8]): TensorInfo => ({ name, dtype, shape, elements: shape.reduce((a, b) => a * b, 1), file: "", begin: 0, end: 2 * shape.reduce((a, b) => a * b, 1) });
function model(id: string | null, ...tensors: TensorInfo[]): Checkpoint {
  const plain: Checkpoint = { name: "m", files: [], config: {}, metadata: {}, warnings: [], tensors: new Map(tensors.map((t) => [t.name, t])), text: async () => undefined, read: async () => new Uint8Array() };
  return id === null ? plain : identified(plain, id);
}
const sourcesOf = (base: string | null = "b", ...experts: string[]): MergeSources => ({ base: model(base, info("w"), info("v")), experts: (experts.length > 0 ? experts : ["x"]).map((id) => model(id, info("w"), info("v"))) });
const tensor = (change: Partial<OutputTensor> = {}): OutputTensor => ({ name: "w", dtype: "BF16", shape: [4, 8], elements: 32, baseName: "w", tunedNames: ["w"], action: "merge", from: "base", reason: "", ...change });
const add: TensorWork = { op: { kind: "add", coefficients: [0.5] } };
const dare = (key: number, keep = 0.5): TensorWork => ({ ...add, makers: [{ kind: "random", key, keep }] });
const fisher = (id: string): TensorSource => ({ tensors: new Map(), read: async () => new Uint8Array(), identity: async (name) => `${id} ${name}` });
const weighted = (id: string, least = 0): TensorWork => ({ op: { kind: "weighted", parts: [{ source: 0, coefficient: 1, least, share: 1 }] }, fishers: [{ source: fisher(id), name: "w" }] });
const f32 = (...values: number[]): Float32Array => Float32Array.from(values);

describe("a merged tensor", () => {
  test("everything that may change a byte gives another fingerprint", async () => {
    const at = (work: TensorWork, change: Partial<OutputTensor> = {}, sources = sourcesOf()) => fingerprint(sources, tensor(change), work);
    const rows: TensorWork["op"] = { kind: "rows", by: "row", cols: 8, change: true, base: f32(), coefficients: [f32(1, 2, 3, 4)] };
    const all = await Promise.all([
      at(add),
      at({ op: { kind: "add", coefficients: [0.5000000000000001] } }),
      at({ op: { kind: "add", coefficients: [-0] } }),
      at({ op: { kind: "add", coefficients: [0] } }),
      at({ op: { kind: "add", coefficients: [NaN] } }),
      at({ op: { kind: "add", coefficients: [0.5], scale: 2 } }),
      at({ op: { kind: "combine", baseCoefficient: 0.5, coefficients: [0.5] } }),
      at({ op: { kind: "add", coefficients: [0.5], masks: [Uint32Array.of(1)] } }),
      at({ op: { kind: "add", coefficients: [0.5], masks: [Uint32Array.of(2)] } }),
      at(dare(1)), at(dare(2)), at(dare(1, 0.25)),
      at({ ...add, rows: [{ row0: 1, row1: 2, op: { kind: "copy" } }] }),
      at({ ...add, rows: [{ row0: 1, row1: 3, op: { kind: "copy" } }] }),
      at({ ...add, rows: [{ row0: 1, row1: 2, op: { kind: "copy", source: 0 } }] }),
      at({ ...add, then: [rows] }),
      at({ ...add, then: [{ ...rows, by: "column" }] }),
      at({ ...add, then: [{ ...rows, coefficients: [f32(1, 2, 3, 5)] }] }),
      at({ ...add, then: [rows, rows] }),
      at({ op: rows }),
      at(weighted("f")), at(weighted("g")), at(weighted("f", 1e-9)),
      at(add, { dtype: "F32" }), at(add, { dtype: "F16" }), at(add, { shape: [8, 4] }), at(add, { baseName: "v" }), at(add, { tunedNames: ["v"] }),
      at(add, { rest: { at: 16, from: "base" } }), at(add, { rest: { at: 24, from: "base" } }), at(add, { rest: { at: 16, from: "finetuned" } }),
      at(add, {}, sourcesOf("other")), at(add, {}, sourcesOf("b", "other")),
      at(add, { tunedNames: ["w", "w"] }, sourcesOf("b", "x", "y")), at(add, { tunedNames: ["w", "w"] }, sourcesOf("b", "y", "x")),
      at(add, {}, { base: sourcesOf().base, experts: [model("x", info("w", "F32"))] }),
    ]);
    expect(all.every((found) => found !== undefined)).toBe(true);
    expect(new Set(all).size).toBe(all.length);
  });

  test("the order of keys, absent options and the name of the tensor do not", async () => {
    const masks = [Uint32Array.of(7, 9)];
    const want = await fingerprint(sourcesOf(), tensor(), { op: { kind: "add", coefficients: [0.5], masks, scale: 2 }, makers: [{ kind: "random", key: 3, keep: 0.5 }] });
    const work = { makers: [{ keep: 0.5, key: 3, kind: "random" }], op: { scale: 2, masks: [Uint32Array.from(masks[0]!)], coefficients: [0.5], kind: "add" }, rows: undefined, then: undefined } as unknown as TensorWork;
    expect(await fingerprint(sourcesOf(), tensor({ reason: "another" }), work)).toBe(want);
    expect(await fingerprint(sourcesOf(), tensor({ name: "another" }), work)).toBe(want);
  });

  test("what is not known, or whose sums may change their order, has none", async () => {
    expect(await fingerprint(sourcesOf(null), tensor(), add)).toBeUndefined();
    expect(await fingerprint({ base: sourcesOf().base, experts: [model(null, info("w"))] }, tensor(), add)).toBeUndefined();
    const source: TensorSource = { tensors: new Map(), read: async () => new Uint8Array() };
    expect(await fingerprint(sourcesOf(), tensor(), { ...weighted("f"), fishers: [{ source, name: "w" }] })).toBeUndefined();
    const project: TensorWork["op"] = { kind: "project", cols: 8, matrices: [new Float32Array(64)] };
    expect(await fingerprint(sourcesOf(), tensor(), { op: project })).toBeUndefined();
    expect(await fingerprint(sourcesOf(), tensor(), { ...add, then: [project] })).toBeUndefined();
    expect(await fingerprint(sourcesOf(), tensor(), { ...add, later: new Map() } as TensorWork)).toBeUndefined();
  });
});

describe("a copied tensor", () => {
  const copy = tensor({ action: "copy" });

  test("is its source where the bytes are, whoever copies it", async () => {
    const sources = sourcesOf();
    const base = await sources.base.identity!("w");
    expect(base).toBeDefined();
    expect(await fingerprint(sources, copy, undefined)).toBe(base);
    expect(await fingerprint(sourcesOf("b", "another"), copy, undefined)).toBe(base);
    expect(await fingerprint(sources, tensor(), { op: { kind: "copy" } })).toBe(base);
    const tuned = await sources.experts[0]!.identity!("w");
    expect(await fingerprint(sources, tensor({ action: "copy", from: "finetuned" }), undefined)).toBe(tuned);
    expect(await fingerprint(sources, tensor(), { op: { kind: "copy", source: 0 } })).toBe(tuned);
    expect(tuned).not.toBe(base);
    expect(await fingerprint(sourcesOf(null), copy, undefined)).toBeUndefined();
  });

  test("is not where values are rounded, rows are cut or added, or a stage follows", async () => {
    const sources = sourcesOf();
    const base = await sources.base.identity!("w");
    const others = await Promise.all([
      fingerprint(sources, { ...copy, dtype: "F16" }, undefined),
      fingerprint(sources, { ...copy, shape: [2, 8], elements: 16 }, undefined),
      fingerprint(sources, { ...copy, rest: { at: 16, from: "finetuned" } }, undefined),
      fingerprint(sources, tensor({ dtype: "F32" }), { op: { kind: "copy" } }),
      fingerprint(sources, tensor({ shape: [2, 8], elements: 16 }), { op: { kind: "copy" } }),
      fingerprint(sources, tensor({ rest: { at: 16, from: "finetuned" } }), { op: { kind: "copy" } }),
      fingerprint(sources, tensor(), { op: { kind: "copy" }, rows: [{ row0: 0, row1: 1, op: { kind: "copy", source: 0 } }] }),
      fingerprint(sources, tensor(), { op: { kind: "copy" }, then: [{ kind: "add", coefficients: [1] }] }),
    ]);
    expect(new Set([base, ...others]).size).toBe(1 + others.length);
    expect(others).not.toContain(undefined);
  });
});
