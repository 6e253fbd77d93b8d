import { describe, expect, it } from "vitest";
import { BLOCK, blockError, blockFlops, blockGradients, blockInputs } from "../../bench/block";
import { benchCases, flops, type BenchCase, type Inputs } from "../../bench/cases";
import { measureCase, type Clock } from "../../bench/measure";
import { joined, type Runner } from "../../bench/runners/types";
import { bf16Bits, noise, toBf16Values } from "../../bench/values";

const one: BenchCase = { name: "forward 8x4 M=2", op: "forward", M: 2, K: 8, N: 4, samples: 1 };

function product({ M, K, N }: BenchCase, { x, w }: Inputs): Float32Array {
  return Float32Array.from({ length: M * N }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < K; k++) sum += x[Math.floor(at / N) * K + k]! * w[(at % N) * K + k]!;
    return sum;
  });
}

/** Each call of a runner takes the CPU-seconds it is told. */
function fakes(): { clock: Clock; runner: (name: string, seconds: number, spoil?: (y: Float32Array) => void) => Runner } {
  let now = 0;
  return {
    clock: { cpuSeconds: async () => now },
    runner: (name, seconds, spoil) => ({
      name,
      prepare: async (which, inputs) => ({
        run: async (times) => void (now += times * seconds),
        output: async () => {
          const y = product(which, inputs);
          spoil?.(y);
          return y;
        },
        dispose: () => undefined,
      }),
    }),
  };
}

describe("the loop of the bench", () => {
  it("counts operations per CPU-second and takes the ratio to the best peer", async () => {
    const { clock, runner } = fakes();
    const { lines, ratio, bestPeer, bar } = await measureCase(one, [runner("ours", 0.25), runner("slow", 2), runner("fast", 0.75)], 3, clock, true);
    expect(lines.map((line) => line.runner)).toEqual(["ours", "slow", "fast"]);
    expect(lines[0]!.median! / (flops(one) / 1e9 / 0.25)).toBeCloseTo(1, 9);
    expect(lines.every((line) => line.rounds === 3 && line.worstError! < 1e-6)).toBe(true);
    expect(bestPeer).toBe("fast");
    expect(ratio).toBeCloseTo(3, 9);
    expect(bar).toBe(2.5);
  });

  it("does not time a library whose output is wrong", async () => {
    const { clock, runner } = fakes();
    const { lines, ratio, bestPeer } = await measureCase(one, [runner("ours", 1), runner("wrong", 0.01, (y) => (y[0]! += 0.01)), runner("right", 2)], 2, clock, true);
    expect(lines[1]!.failed).toMatch(/^wrong by/);
    expect(lines[1]!.median).toBeUndefined();
    expect(bestPeer).toBe("right");
    expect(ratio).toBeCloseTo(2, 9);
  });

  it("gives no ratio when our own kernel fails, nor without peers", async () => {
    const { clock, runner } = fakes();
    expect((await measureCase(one, [runner("ours", 1, (y) => y.fill(NaN)), runner("other", 1)], 1, clock, true)).ratio).toBeUndefined();
    expect((await measureCase(one, [runner("ours", 1)], 1, clock, true)).ratio).toBeUndefined();
  });
});

describe("the cases of the bench", () => {
  it("names each once and covers every operation at every size", () => {
    const names = benchCases([64, 512]).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toHaveLength(3 * 3 * 2 + 3 + 1);
    expect(blockFlops(64)).toBe(6 * 64 * (4 * 256 * 256 + 3 * 256 * 704) + 12 * 64 * 64 * 256);
  });

  it("rounds weights to values that bf16 holds", () => {
    const values = toBf16Values(noise(100, 1));
    const back = new Float32Array(Uint32Array.from(bf16Bits(values), (bits) => bits << 16).buffer);
    expect(back).toEqual(values);
  });

  it("takes the block’s own gradients and refuses others", () => {
    const rows = 3;
    const inputs = blockInputs();
    const [x, dy] = [noise(rows * BLOCK.C, 1), noise(rows * BLOCK.C, 3)];
    const gradients = blockGradients(inputs, x, dy);
    const got = joined(gradients.map((g) => Float32Array.from(g)));
    expect(blockError(inputs, x, dy, got)).toBeLessThan(1e-7);
    expect(blockError(inputs, x, dy, got.map((v, i) => (i === got.length - 1 ? v + 1 : v)))).toBeGreaterThan(1e-4);
    expect(blockError(inputs, x, dy, got.subarray(1))).toBe(Infinity);
  });
});
