import { expect, test } from "vitest";
import { largestOf } from "../../../src/export/verify";
import { fromFloat32 } from "../../../src/formats/dtypes";

test.each(["F32", "F16", "BF16"] as const)("the largest finite value and the bad ones of %s, at every place of a word and in an odd number of values", (dtype) => {
  const plain = Float32Array.of(0.5, -0.25, 0, -0, 1.5, -0.125, 0.75);
  for (let at = 0; at < plain.length; at++) {
    const values = plain.slice();
    values[at] = at % 2 ? -2 : 2;
    const bytes = fromFloat32(values, dtype);
    expect(largestOf(bytes, dtype), `${at}`).toEqual({ largest: 2, bad: 0 });
    // Shifted in its buffer, as a tensor may lie in a file.
    const shifted = new Uint8Array(bytes.length + 2);
    shifted.set(bytes, 2);
    expect(largestOf(shifted.subarray(2), dtype)).toEqual({ largest: 2, bad: 0 });
    values[at] = at % 2 ? -Infinity : NaN;
    expect(largestOf(fromFloat32(values, dtype), dtype)).toEqual({ largest: at === 4 ? 0.75 : 1.5, bad: 1 });
  }
  expect(largestOf(new Uint8Array(0), dtype)).toEqual({ largest: 0, bad: 0 });
});
