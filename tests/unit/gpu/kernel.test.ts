import { describe, expect, test } from "vitest";
import { defineKernel, foldWorkgroups } from "../../../src/gpu/kernel";
import { panelBytes, rowPanels } from "../../../src/gpu/weight";
import { MAX_BINDING_BYTES } from "../../../src/gpu/gpu";

describe("foldWorkgroups", () => {
  test.each([0, 1, 65_535, 65_536, 65_537, 131_070, 131_071, 1_000_003, 65_535 * 65_535])("%i workgroups fit in two dimensions with less than one row too many", (count) => {
    const [x, y] = foldWorkgroups(count);
    expect(x).toBeLessThanOrEqual(65_535);
    expect(y).toBeLessThanOrEqual(65_535);
    expect(x * y).toBeGreaterThanOrEqual(count);
    expect(x * y - count).toBeLessThan(Math.max(1, y));
  });
});

describe("rowPanels", () => {
  test.each([
    [1, 1, 1024], [3, 64, 1024], [7, 5, 40], [331, 64, 4 * 64 * 100], [331, 64, 4 * 64 * 3], [151_936, 1536, MAX_BINDING_BYTES], [152_064, 3584, MAX_BINDING_BYTES],
  ])("[%i, %i] in panels of %i bytes: every row once, in order, none too large", (rows, cols, maxBytes) => {
    const panels = rowPanels(rows, cols, maxBytes);
    let next = 0;
    for (const panel of panels) {
      expect(panel.row0).toBe(next);
      next += panel.rows;
      expect(4 * panel.rows * cols).toBeLessThanOrEqual(Math.max(maxBytes, 8 * cols));
      // A 2-byte panel begins on a word.
      expect((panel.row0 * cols * 2) % 4).toBe(0);
    }
    expect(next).toBe(rows);
    const full = panels.slice(0, -1);
    if (Math.floor(maxBytes / (4 * cols)) >= 64) expect(full.every((p) => p.rows % 64 === 0)).toBe(true);
  });

  test("an empty matrix has no panel", () => {
    expect(rowPanels(0, 64)).toEqual([]);
  });

  test("panelBytes", () => {
    expect([panelBytes({ cols: 5, dtype: "BF16" }, 3), panelBytes({ cols: 5, dtype: "F32" }, 3)]).toEqual([30, 60]);
  });
});

test("a kernel is splittable when it takes group0; snippets come before its own text", () => {
  const spec = { name: "x", wgsl: "main", lib: ["a", "b"], inputs: [], outputs: [], workgroups: () => 1 };
  expect(defineKernel({ ...spec, params: { n: "u32", group0: "u32" } })).toMatchObject({ splittable: true, code: "a\nb\nmain", constants: {} });
  expect(defineKernel({ ...spec, params: { n: "u32" } }).splittable).toBe(false);
  expect(defineKernel({ ...spec, params: { n: "u32" } }).cost({ n: 9 })).toBe(0);
});
