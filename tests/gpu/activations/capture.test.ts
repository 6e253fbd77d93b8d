import { expect, test } from "vitest";
import { capture } from "../../../src/activations/capture";
import { EMBEDDING, HEAD } from "../../../src/model/architectures";
import { parseModelConfig } from "../../../src/model/config";
import { createDecoder } from "../../../src/model/decoder";
import type { GradientBatch } from "../../../src/model/gradients";
import { readFloatTensor } from "../../../src/model/weights";
import * as reference from "../../reference/model/decoder";
import { expectClose } from "../../support/compare";
import { testGpu } from "../../support/gpu";
import { fixtureCheckpoint, fixtureJson, fixtureTensors, float64Parameters } from "../../support/nodeCheckpoint";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";

test.each([["qwen3", 512], ["llamaOdd", 9], ["qwen2Tied", 9]] as const)("%s in batches of %i rows: inputs and outputs of every module against the float64 reference", async (name, maxRows) => {
  const gpu = await testGpu();
  const { checkpoint, config } = await randomModel(TINY[name], "BF16");
  const parameters = await float64Parameters(checkpoint);
  const sequences = randomTokens(8, config.vocab, [5, 4, 7]);
  const seen = sequences.map(() => ({ inputs: new Map<string, Float32Array>(), outputs: new Map<string, Float32Array>() }));
  const put = (side: "inputs" | "outputs", names: readonly string[], values: Float32Array, width: number, { startsCpu, firstSequence, sequences: count }: GradientBatch): void => {
    for (let s = 0; s < count; s++) for (const name of names) seen[firstSequence + s]![side].set(name, values.slice(startsCpu[s]! * width, startsCpu[s + 1]! * width));
  };
  // By the decoder itself: biases of o_proj and the MLP are computed, though no method offers them.
  await createDecoder(gpu, checkpoint, config, { maxRows }).forward(sequences, {
    loss: false,
    visitor: {
      input: async ({ names, x, K, rowsPerToken }, batch) => put("inputs", names, await gpu.readFloats(x, batch.rows * rowsPerToken * K), rowsPerToken * K, batch),
      output: async ({ name, y, N }, batch) => put("outputs", [name], await gpu.readFloats(y, batch.rows * N), N, batch),
    },
  });
  sequences.forEach((tokens, s) => {
    const want = reference.forward(config, parameters, tokens);
    if (config.tied) want.inputs.set(HEAD, want.inputs.get(EMBEDDING)!);
    if (config.tied) want.inputs.delete(EMBEDDING);
    expect([...seen[s]!.inputs.keys()].sort()).toEqual([...want.inputs.keys()].sort());
    want.outputs.set(EMBEDDING, want.hidden[0]!);
    for (const side of ["inputs", "outputs"] as const)
      for (const [module, got] of seen[s]![side]) {
        const values = want[side].get(module)!;
        expectClose(got, values, { atol: 1e-5 * values.reduce((m, v) => Math.max(m, Math.abs(v)), 0) }, `${side} of ${module}, sequence ${s}`);
      }
    // Every linear layer of the blocks, the embedding and the final norm.
    expect(seen[s]!.outputs.size).toBe(7 * config.layers + 2);
  });
});

test("an architecture without a forward is refused before anything is read", async () => {
  const { checkpoint } = await randomModel(TINY.llamaOdd);
  await expect(capture(await testGpu(), { ...checkpoint, read: () => Promise.reject(new Error("read")) }, [[1, 2]], {})).rejects.toThrow(/this cannot be done. Not implemented: a bias on the attention output/);
});

test.each(["qwen2-tiny-f32", "llama-tiny-bf16"])("%s: captured embedding, hidden states and logits are the golden ones", async (set) => {
  const gpu = await testGpu();
  const checkpoint = await fixtureCheckpoint(set, "base");
  const { layers, hidden: C, vocab } = parseModelConfig(checkpoint.config);
  const golden = await fixtureTensors(set, "tensors.safetensors");
  const seen = new Map<string, Float32Array>();
  const logits = new Float32Array(16 * vocab);
  await capture(gpu, checkpoint, fixtureJson<Record<string, number[][]>>(set, "tokens.json").fisher_N4_L16!, {
    input: async ({ names, x, K }) => void seen.set(names[0]!, await gpu.readFloats(x, 16 * K)),
    output: async ({ name, y, N }) => void seen.set(`output ${name}`, await gpu.readFloats(y, 16 * N)),
  }, {
    panelBytes: 4 * C * 64,
    onLogitsPanel: async ({ panel, logits: part }) => {
      const values = await gpu.readFloats(part, 16 * panel.rows);
      for (let t = 0; t < 16; t++) logits.set(values.subarray(t * panel.rows, (t + 1) * panel.rows), t * vocab + panel.row0);
    },
  });
  const close = async (got: Float32Array, name: string): Promise<void> => {
    const want = await readFloatTensor(golden, name);
    expectClose(got, want, { atol: 1e-5 * want.reduce((m, v) => Math.max(m, Math.abs(v)), 0) }, name);
  };
  await close(seen.get(`output ${EMBEDDING}`)!, "hidden0/0");
  for (let layer = 0; layer < layers; layer++) await close(seen.get(`model.layers.${layer}.input_layernorm.weight`)!, `hidden0/${layer}`);
  await close(seen.get("model.norm.weight")!, `hidden0/${layers}`);
  // The block's output is what down_proj gives, added to what the second norm took in.
  const middle = seen.get("model.layers.0.post_attention_layernorm.weight")!;
  await close(seen.get("output model.layers.0.mlp.down_proj.weight")!.map((v, i) => v + middle[i]!), "hidden0/1");
  await close(logits, "logits0/base");
});
