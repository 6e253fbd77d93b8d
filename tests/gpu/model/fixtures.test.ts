import { describe, expect, test } from "vitest";
import { fisherVisitor } from "../../../src/fisher/accumulate";
import { parseModelConfig } from "../../../src/model/config";
import { createDecoder, DEFAULT_LOSS_SCALE } from "../../../src/model/decoder";
import { readFloatTensor } from "../../../src/model/weights";
import { collectGradients } from "../../support/collectGradients";
import { expectClose } from "../../support/compare";
import { testGpu } from "../../support/gpu";
import { fixtureCheckpoint, fixtureJson, fixtureTensors } from "../../support/nodeCheckpoint";

type SampledEntry = [name: string, index: number, fisherN4L16: number, fisherN8L64: number, grad0: number];
interface Reference {
  losses: Record<string, number[]>;
  tensors: Record<string, { fisher_mean: number; fisher_max: number; fisher_mean_N8_L64: number; per_sample_mean_grad2: number[] }>;
  fisher_sampled_entries: { rows: SampledEntry[] };
}

const largest = (values: ArrayLike<number>): number => Array.from(values).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
const mean = (values: Float64Array): number => values.reduce((a, b) => a + b, 0) / values.length;

// Tolerances are those of tests/fixtures/README.md, "Accuracy, and what to allow".
describe.each(["qwen2-tiny-f32", "llama-tiny-bf16"])("%s", (set) => {
  const reference = fixtureJson<Reference>(set, "reference.json");
  const tokens = fixtureJson<Record<string, number[][]>>(set, "tokens.json");
  const open = async () => {
    const gpu = await testGpu();
    const checkpoint = await fixtureCheckpoint(set, "base");
    return { gpu, checkpoint, decoder: createDecoder(gpu, checkpoint, parseModelConfig(checkpoint.config)) };
  };
  /** Mean over sequences of squared gradients, squared on the CPU in float64. */
  const fisherOf = async (sequences: number[][]) => {
    const { gpu, decoder } = await open();
    const { visitor, gradients } = collectGradients(gpu, sequences.length, DEFAULT_LOSS_SCALE);
    const { losses } = await decoder.pass(sequences, { visitor });
    const fisher = new Map<string, Float64Array>();
    for (const name of gradients[0]!.keys()) fisher.set(name, gradients[0]!.get(name)!.map((_, i) => gradients.reduce((sum, g) => sum + g.get(name)![i]! ** 2, 0) / sequences.length));
    return { losses, fisher, gradients };
  };

  test("losses, logits and hidden states", async () => {
    const { decoder } = await open();
    const golden = await fixtureTensors(set, "tensors.safetensors");
    const result = await decoder.forward(tokens.fisher_N4_L16!, { keepHidden: true, logitsOf: (sequence) => sequence === 0 });
    expectClose(result.losses, reference.losses.base_loss_mean_per_sample_N4_L16!, { atol: 1e-5 }, "losses");
    expectClose(result.logits.flatMap((l) => [...l.values]), await readFloatTensor(golden, "logits0/base"), { atol: 1e-4 }, "logits");
    for (const [i, hidden] of result.hidden![0]!.entries()) {
      const want = await readFloatTensor(golden, `hidden0/${i}`);
      expectClose(hidden, want, { atol: 1e-5 * largest(want) }, `hidden ${i}`);
    }
  });

  test("gradients of the first sequence, element-wise Fisher of all tensors", async () => {
    const golden = await fixtureTensors(set, "tensors.safetensors");
    const goldenFisher = await fixtureTensors(set, "fisher.safetensors");
    const { fisher, gradients, losses } = await fisherOf(tokens.fisher_N4_L16!);
    expectClose(losses, reference.losses.base_loss_mean_per_sample_N4_L16!, { atol: 1e-5 }, "losses");
    expect([...fisher.keys()].sort()).toEqual([...goldenFisher.tensors.keys()].sort());
    for (const name of [...golden.tensors.keys()].filter((n) => n.startsWith("grad0/"))) {
      const want = await readFloatTensor(golden, name);
      expectClose(gradients[0]!.get(name.slice("grad0/".length))!, want, { atol: 2e-5 * largest(want), rtol: 1e-3 }, name);
    }
    for (const [name, index, want, , gradient] of reference.fisher_sampled_entries.rows) {
      expectClose([fisher.get(name)![index]!], [want], { atol: 1e-4 * largest(fisher.get(name)!), rtol: 1e-3 }, `${name}[${index}]`);
      expectClose([gradients[0]!.get(name)![index]!], [gradient], { atol: 2e-5 * largest(gradients[0]!.get(name)!), rtol: 1e-3 }, `gradient of ${name}[${index}]`);
    }
    for (const [name, got] of fisher) {
      const want = await readFloatTensor(goldenFisher, name);
      expectClose(got, want, { atol: 1e-4 * largest(want), rtol: 1e-3 }, name);
      const stats = reference.tensors[name]!;
      expectClose([mean(got)], [stats.fisher_mean], { rtol: 1e-4 }, `mean of ${name}`);
      gradients.forEach((g, s) => expectClose([mean(g.get(name)!.map((v) => v * v))], [stats.per_sample_mean_grad2[s]!], { rtol: 1e-4 }, `sequence ${s}, ${name}`));
    }
  });

  test("the Fisher kernels, in two batches and panels of the head, give the golden Fisher of all tensors", async () => {
    const { gpu, checkpoint } = await open();
    const decoder = createDecoder(gpu, checkpoint, parseModelConfig(checkpoint.config), { maxRows: 32, panelBytes: 4 * 64 * 128 });
    const golden = await fixtureTensors(set, "fisher.safetensors");
    const got = new Map<string, Float64Array>();
    const visitor = fisherVisitor(gpu, async ({ name, rows, cols, panels, rowIds }) => {
      const into = got.get(name) ?? new Float64Array(rows * cols);
      got.set(name, into);
      for (const panel of panels) {
        const values = await gpu.readFloats(panel.buffer, panel.rows * cols);
        values.forEach((value, i) => {
          const row = Math.floor(i / cols);
          into[(rowIds ? rowIds[row]! : panel.row0 + row) * cols + (i % cols)] = value / (4 * DEFAULT_LOSS_SCALE ** 2);
        });
      }
    }, 4 * 64 * 128);
    await decoder.pass(tokens.fisher_N4_L16!, { visitor });
    expect([...got.keys()].sort()).toEqual([...golden.tensors.keys()].sort());
    for (const [name, values] of got) {
      const want = await readFloatTensor(golden, name);
      expectClose(values, want, { atol: 1e-4 * largest(want), rtol: 1e-3 }, name);
    }
  });

  test("8 sequences of 64 tokens: losses, means and sampled entries", async () => {
    const { fisher, losses } = await fisherOf(tokens.fisher_N8_L64!);
    expectClose(losses, reference.losses.base_loss_mean_per_sample_N8_L64!, { atol: 1e-5 }, "losses");
    for (const [name, got] of fisher) expectClose([mean(got)], [reference.tensors[name]!.fisher_mean_N8_L64], { rtol: 1e-4 }, `mean of ${name}`);
    for (const [name, index, , want] of reference.fisher_sampled_entries.rows)
      expectClose([fisher.get(name)![index]!], [want], { atol: 1e-4 * largest(fisher.get(name)!), rtol: 1e-3 }, `${name}[${index}]`);
  });
});
