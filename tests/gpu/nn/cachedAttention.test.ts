import { afterEach, describe, expect, test } from "vitest";
import { fromFloat32, toFloat32 } from "../../../src/formats/dtypes";
import type { FloatDtype } from "../../../src/core/tensors";
import { cachedAttention, ropeCache } from "../../../src/kernels/nn/cachedAttention";
import { embed } from "../../../src/kernels/nn/embedRows";
import { attention } from "../../reference/nn/attention";
import { rope } from "../../reference/nn/rope";
import { expectClose, randomFloats } from "../../support/compare";
import { testGpu } from "../../support/gpu";

const held: GPUBuffer[] = [];
afterEach(async () => (await testGpu()).release(...held.splice(0)));
const hold = (buffer: GPUBuffer): GPUBuffer => (held.push(buffer), buffer);

const rowsOf = (rows: [place: number, position: number, token?: number][]): Uint32Array => Uint32Array.from(rows.flatMap(([place, position, token = 0]) => [place, position, token, 0]));

describe("attention over a cache", () => {
  const sizes = { H: 3, KV: 1, D: 8, window: 0 };
  /** Sequences in a cache whose unwritten part is NaN, and the last `tail` rows of each sequence as queries. */
  async function compare(lengths: number[], { H, KV, D, window }: typeof sizes, tail: number) {
    const gpu = await testGpu();
    const capacity = Math.max(...lengths) + 3;
    const keys = new Float32Array(lengths.length * capacity * KV * D).fill(NaN);
    const values = keys.slice();
    const queries: number[] = [];
    const rows: [number, number][] = [];
    const want: number[] = [];
    lengths.forEach((length, place) => {
      const q = randomFloats(3 * place + 1, length * H * D, 2);
      const k = randomFloats(3 * place + 2, length * KV * D, 2);
      const v = randomFloats(3 * place + 3, length * KV * D);
      keys.set(k, place * capacity * KV * D);
      values.set(v, place * capacity * KV * D);
      const y = attention(q, k, v, { H, KV, D, window, starts: [0, length] });
      for (let position = Math.max(0, length - tail); position < length; position++) {
        rows.push([place, position]);
        queries.push(...q.slice(position * H * D, (position + 1) * H * D));
        want.push(...y.slice(position * H * D, (position + 1) * H * D));
      }
    });
    const upload = (data: Float32Array | Uint32Array) => hold(gpu.upload(data));
    const cache = { keys: upload(keys), values: upload(values) };
    const call = async (from: number, to: number) => {
      const y = hold(gpu.alloc(4 * (to - from) * H * D));
      const part = rows.slice(from, to);
      cachedAttention(gpu, { q: upload(Float32Array.from(queries.slice(from * H * D, to * H * D))), ...cache, rows: upload(rowsOf(part)), y }, { M: to - from, H, KV, D, capacity, window, longest: Math.max(...part.map(([, position]) => position)) + 1 });
      return gpu.readFloats(y, (to - from) * H * D);
    };
    const got = await call(0, rows.length);
    expectClose(got, want, { rtol: 2e-5, atol: 3e-6 }, "attention");
    for (let i = 0; i < rows.length; i += 5) expect(await call(i, i + 1), `row ${i} alone has the same bits`).toEqual(got.slice(i * H * D, (i + 1) * H * D));
  }

  test("ragged lengths around chunks and parts", () => compare([1, 31, 33, 70, 255, 257, 600], sizes, 2));
  test("a window shorter than a chunk, and one longer than a part", async () => {
    await compare([5, 40, 300], { ...sizes, window: 7 }, 3);
    await compare([300, 700], { ...sizes, window: 270 }, 3);
  });
  test("head sizes that are no multiple of four or eight, groups of heads", async () => {
    await compare([9, 66], { H: 4, KV: 2, D: 6, window: 0 }, 2);
    await compare([2, 37], { H: 2, KV: 2, D: 12, window: 5 }, 2);
    await compare([3, 40], { H: 14, KV: 2, D: 4, window: 0 }, 2);
  });
});

test("q is rotated, rotated k and v go to each row's place", async () => {
  const gpu = await testGpu();
  const [H, KV, D, capacity] = [2, 1, 6, 5];
  const rows: [number, number][] = [[1, 4], [0, 2], [1, 0]];
  const M = rows.length;
  const angle = (p: number, d: number) => p * 100 ** ((-2 * d) / D);
  const table = (f: (x: number) => number) => Float32Array.from({ length: capacity * (D / 2) }, (_, i) => f(angle(Math.floor(i / (D / 2)), i % (D / 2))));
  const [q, k, v] = [randomFloats(1, M * H * D), randomFloats(2, M * KV * D), randomFloats(3, M * KV * D)];
  const upload = (data: Float32Array | Uint32Array) => hold(gpu.upload(data));
  const empty = new Float32Array(2 * capacity * KV * D).fill(-7);
  const io = { cosine: upload(table(Math.cos)), sine: upload(table(Math.sin)), rows: upload(rowsOf(rows)), k: upload(k), v: upload(v), q: upload(q), keys: upload(empty), values: upload(empty) };
  gpu.run(ropeCache, io, { M, H, KV, D, capacity });
  const positions = rows.map(([, position]) => position);
  expectClose(await gpu.readFloats(io.q, q.length), rope(q, H, D, positions, angle, 1), { atol: 1e-6 }, "q");
  const keys = Float64Array.from(empty);
  const values = Float64Array.from(empty);
  const turned = rope(k, KV, D, positions, angle, 1);
  rows.forEach(([place, position], m) => {
    keys.set(turned.slice(m * KV * D, (m + 1) * KV * D), (place * capacity + position) * KV * D);
    values.set(v.slice(m * KV * D, (m + 1) * KV * D), (place * capacity + position) * KV * D);
  });
  expectClose(await gpu.readFloats(io.keys, keys.length), keys, { atol: 1e-6 }, "keys");
  expectClose(await gpu.readFloats(io.values, values.length), values, {}, "values");
});

test.each<FloatDtype>(["F32", "BF16", "F16"])("rows of an embedding in panels, %s", async (dtype) => {
  const gpu = await testGpu();
  const [V, C] = [11, 5];
  const bytes = fromFloat32(randomFloats(4, V * C), dtype);
  const stored = toFloat32(bytes, dtype);
  const width = bytes.byteLength / V;
  const panels = [[0, 4], [4, 4], [8, 3]].map(([row0, rows]) => ({ row0: row0!, rows: rows!, buffer: hold(gpu.upload(bytes.slice(row0! * width, (row0! + rows!) * width))) }));
  const tokens = [10, 0, 4, 4, 7, 3];
  const x = hold(gpu.alloc(4 * tokens.length * C));
  embed(gpu, { rows: hold(gpu.upload(rowsOf(tokens.map((token) => [0, 0, token])))), table: { name: "e", dtype, rows: V, cols: C, panels }, x, M: tokens.length });
  expect(await gpu.readFloats(x, tokens.length * C)).toEqual(Float32Array.from(tokens.flatMap((token) => [...stored.slice(token * C, (token + 1) * C)])));
});
