import { expect, test } from "vitest";
import { withinSlack } from "../../../src/export/verify";
import { fromFloat32, toFloat32 } from "../../../src/formats/dtypes";
import { applyOpCpu } from "../../../src/merge/cpu";
import type { OpSlice, ProjectOp } from "../../../src/merge/ops";
import { projectSlack } from "../../../src/merge/project";
import { randomFloats } from "../../support/compare";

test("rows that a GPU sums in another order are within the slack, rows that are wrong are not", () => {
  const d = 128;
  const rows = 3;
  const base = randomFloats(1, rows * d, 0.02);
  const stored = (values: Float32Array) => ({ bytes: fromFloat32(values, "F32"), dtype: "F32" as const });
  const tuned = base.map((v, i) => v + randomFloats(2, rows * d, 0.01)[i]!);
  const op: ProjectOp = { kind: "project", cols: d, matrices: [randomFloats(3, d * d, 1)] };
  const slice: OpSlice = { base: stored(base), experts: [stored(tuned)], start: 0, elements: rows * d };
  const want = applyOpCpu(op, slice, "F32");
  const slack = projectSlack(op, slice);
  // From the last input to the first.
  const turned = toFloat32(want, "F32").map((_, at) => {
    const row = at - (at % d);
    let sum = 0;
    for (let j = d - 1; j >= 0; j--) sum = Math.fround(sum + Math.fround(op.matrices[0]![(at % d) * d + j]! * Math.fround(tuned[row + j]! - base[row + j]!)));
    return base[at]! + sum;
  });
  expect(Buffer.compare(fromFloat32(turned, "F32"), want)).not.toBe(0);
  expect(withinSlack(fromFloat32(turned, "F32"), want, "F32", slack)).toBe(true);
  expect(withinSlack(fromFloat32(turned.map((v, i) => (i === 200 ? v * 1.001 + 1e-5 : v)), "F32"), want, "F32", slack)).toBe(false);
  expect(Math.max(...slack)).toBeLessThan(1e-5);
});
