import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { appendBits, findCut, keepRule, maskBit, maskOf, maskWords, popcount, RankSelect, selectKth, type TrimRule } from "../../../src/merge/trim";
import { atLeastKeep, percentileKeep, topKeep } from "../../reference/stats/trim";

interface Case { name: string; w: number[]; r: number; n: number; linear: { threshold: number; keep: number[]; count: number }; topk_stable: { k: number; keep: number[] }; ge_kth_value: { keep: number[] } }
const { cases } = JSON.parse(readFileSync("tests/fixtures/trim-golden.json", "utf8")) as { cases: Case[] };

const keep = (w: readonly number[], rule: TrimRule, share: number, dropZero = false): number[] => {
  const keys = Float32Array.from(w);
  const mask = maskOf(keys, findCut(keys, keepRule(w.length, rule, share)), dropZero);
  return w.map((_, i) => (maskBit(mask, i) ? 1 : 0));
};
const bits = (b: boolean[]) => b.map(Number);

describe("golden vectors", () => {
  test.each(cases.map((c) => [c.name, c] as const))("%s", (_, c) => {
    expect(keep(c.w, "numpy", c.r)).toEqual(c.linear.keep);
    expect(keep(c.w, "exactK", c.r)).toEqual(c.topk_stable.keep);
    expect(keep(c.w, "density", c.topk_stable.k / c.n)).toEqual(c.ge_kth_value.keep);
  });
});

describe("worked examples", () => {
  test("percentile with ties and zeros", () => {
    expect(keep([8, 6, 6, 4, 2], "numpy", 0.4)).toEqual([1, 1, 1, 0, 0]);
    expect(keep([8, 6, 6, 4, 2], "numpy", 0.2)).toEqual([1, 0, 0, 0, 0]);
    expect(keep([8, 6, 5, 4, 2], "numpy", 0.4)).toEqual([1, 1, 0, 0, 0]);
    expect(keep([8, 6, 5, 4, 2], "official", 0.4)).toEqual([1, 1, 1, 0, 0]);
    expect(keep([0, 0, 0, 0, 4, 1], "numpy", 0.4)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(keep([0, 0, 0, 0, 4, 1], "numpy", 0.2)).toEqual([0, 0, 0, 0, 1, 1]);
    expect(keep([0, 0, 0, 0, 4, 1], "numpy", 0.4, true)).toEqual([0, 0, 0, 0, 1, 1]);
  });

  test("T1: three cuts of one vector", () => {
    const w = [1, 5, 3, 2, 4];
    expect(keep(w, "official", 0.4)).toEqual([0, 1, 1, 0, 1]);
    expect(keep(w, "mergekit", 0.4)).toEqual([0, 1, 0, 0, 1]);
    expect(keep(w, "l2s", 0.4)).toEqual([0, 1, 1, 0, 1]);
    expect(keep(w, "density", 0.4)).toEqual([0, 1, 0, 0, 1]);
  });

  test("T2: equal magnitudes", () => {
    const w = [2, 2, 2, 1];
    expect(keep(w, "official", 0.25)).toEqual([1, 1, 1, 0]);
    expect(keep(w, "official", 0.5)).toEqual([1, 1, 1, 0]);
    expect(keep(w, "mergekit", 0.25)).toEqual([1, 0, 0, 0]);
    expect(keep(w, "mergekit", 0.5)).toEqual([1, 1, 0, 0]);
    expect(keep(w, "density", 0.25)).toEqual([1, 1, 1, 0]);
  });

  test("densities 0 and 1, one element, none", () => {
    expect(keep([3, 1, 2], "mergekit", 0)).toEqual([1, 0, 0]);
    expect(keep([3, 1, 2], "exactK", 0)).toEqual([0, 0, 0]);
    for (const rule of ["numpy", "exactK", "official", "density", "mergekit", "l2s"] as const) {
      expect(keep([3, 0, 2], rule, 1)).toEqual([1, 1, 1]);
      expect(keep([5], rule, 0.7)).toEqual([1]);
      expect(keep([], rule, 0.5)).toEqual([]);
      expect(keep([2, 2, 2, 2], rule, 0.5)).toEqual(rule === "exactK" || rule === "mergekit" ? [1, 1, 0, 0] : [1, 1, 1, 1]);
    }
  });

  test("0.2 kept is 0.8 dropped in Long-to-Short's count", () => {
    expect(keepRule(10, "l2s", 0.2)).toEqual({ kind: "atLeast", index: 7 });
    expect(keepRule(960, "l2s", 0.2)).toEqual({ kind: "atLeast", index: 767 });
    // 100 * 0.29 is 28.999999999999996, which truncates to 28; 0.71 is what 1 - 0.29 is meant to be.
    expect(keepRule(100, "l2s", 0.71)).toEqual({ kind: "atLeast", index: 27 });
    expect(keepRule(100, "l2s", 1 - 0.29)).toEqual({ kind: "atLeast", index: 27 });
  });

  test("a share outside 0..1 is refused", () => {
    expect(() => keepRule(4, "numpy", 1.5)).toThrow("between 0 and 1");
    expect(() => keepRule(4, "numpy", NaN)).toThrow("between 0 and 1");
  });
});

const keysOf = fc.array(fc.oneof(fc.constantFrom(0, 1, 2, 2.5), fc.float({ min: 0, noNaN: true, noDefaultInfinity: true })), { minLength: 1, maxLength: 200 }).map((v) => v.map((x) => Math.fround(Math.abs(x))));

test("selectKth equals sorting, in one part or several", () => {
  fc.assert(
    fc.property(keysOf, fc.nat(), fc.nat(), (w, a, b) => {
      const index = a % w.length;
      const cut = b % (w.length + 1);
      const sorted = [...w].sort((x, y) => x - y);
      expect(selectKth(Float32Array.from(w), index)).toBe(sorted[index]);
      expect(selectKth([Float32Array.from(w.slice(0, cut)), Float32Array.from(w.slice(cut))], index)).toBe(sorted[index]);
    }),
  );
});

test("masks equal the plain rules", () => {
  fc.assert(
    fc.property(keysOf, fc.constantFrom(0, 0.1, 0.2, 0.25, 0.4, 0.5, 0.9, 1), (w, r) => {
      const n = w.length;
      // Interpolation in float64 between float32 neighbours cannot cross either of them.
      expect(keep(w, "numpy", r)).toEqual(bits(percentileKeep(w, r)));
      expect(keep(w, "exactK", r)).toEqual(bits(topKeep(w, Math.floor(r * n + 0.5))));
      expect(keep(w, "mergekit", r)).toEqual(bits(topKeep(w, Math.max(1, Math.trunc(r * n)))));
      expect(keep(w, "official", r)).toEqual(r === 1 ? w.map(() => 1) : bits(atLeastKeep(w, n - Math.trunc(n * r) - 1)));
    }),
  );
});

test("ties are taken in index order across parts", () => {
  const parts = [Float32Array.from([1, 2, 2]), Float32Array.from([2, 3, 2])];
  const cut = findCut(parts, { kind: "exact", count: 4 });
  expect(cut).toEqual({ threshold: 2, equal: 3 });
  const state = { taken: 0 };
  expect(parts.map((part) => maskOf(part, cut, false, state)[0])).toEqual([0b110, 0b011]);
});

test("RankSelect finds the largest finite float and zero", () => {
  const keys = Float32Array.from([0, 3.4028234663852886e38, 1e-45]);
  expect([0, 1, 2].map((i) => selectKth(keys, i))).toEqual([0, 1.401298464324817e-45, 3.4028234663852886e38]);
  expect(new RankSelect(0).next()).toBe(true);
});

test("a selection that was saved at any point goes on to the same answer", () => {
  const parts = [Float32Array.from([5, 1, 4]), Float32Array.from([1, 9, 1.0001])];
  for (let stop = 0; stop <= 6; stop++) {
    let select = new RankSelect(2);
    let step = 0;
    const maybeRestart = () => {
      if (step++ === stop) select = RankSelect.from(structuredClone(select.save()));
    };
    for (let more = true; more; ) {
      for (const part of parts) {
        maybeRestart();
        select.add(part);
      }
      maybeRestart();
      more = select.next();
    }
    expect([select.threshold, select.equals], `saved before step ${stop}`).toEqual([Math.fround(1.0001), { count: 1, fromRank: 1 }]);
  }
});

test("popcount and appendBits", () => {
  expect(popcount(Uint32Array.from([0xffffffff, 0, 0x80000001]))).toBe(34);
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 150 }), fc.array(fc.boolean(), { maxLength: 150 }), (a, b) => {
      const pack = (v: boolean[]) => maskOf(Float32Array.from(v, Number), { threshold: 0.5, equal: 0 });
      const joined = new Uint32Array(maskWords(a.length + b.length));
      appendBits(joined, 0, pack(a), a.length);
      appendBits(joined, a.length, pack(b), b.length);
      expect(joined).toEqual(pack([...a, ...b]));
    }),
  );
});
