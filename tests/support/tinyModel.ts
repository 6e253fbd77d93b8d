import type { Checkpoint, FloatDtype } from "../../src/core/tensors";
import { memoryFile } from "../../src/core/files";
import { openCheckpoint } from "../../src/formats/checkpoint";
import { fromFloat32 } from "../../src/formats/dtypes";
import { writeSafetensorsHeader } from "../../src/formats/safetensors";
import { expectedTensors } from "../../src/model/architectures";
import { parseModelConfig, type ModelConfig, type RawConfig } from "../../src/model/config";
import { randomFloats } from "./compare";
import { jsonFile } from "./models";

export interface RandomModel {
  checkpoint: Checkpoint;
  config: ModelConfig;
}

const base = { rms_norm_eps: 1e-5, max_position_embeddings: 128, hidden_act: "silu", tie_word_embeddings: false };
/** Small models that differ in everything the families differ in; sizes are unkind on purpose. */
export const TINY = {
  qwen2Tied: { ...base, architectures: ["Qwen2ForCausalLM"], model_type: "qwen2", hidden_size: 24, intermediate_size: 37, num_hidden_layers: 2, num_attention_heads: 3, num_key_value_heads: 1, vocab_size: 53, rope_theta: 1e6, tie_word_embeddings: true },
  qwen3: { ...base, architectures: ["Qwen3ForCausalLM"], model_type: "qwen3", hidden_size: 20, intermediate_size: 28, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 6, vocab_size: 61, rope_theta: 1e4 },
  mistral: { ...base, architectures: ["MistralForCausalLM"], model_type: "mistral", hidden_size: 16, intermediate_size: 40, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 2, vocab_size: 47, sliding_window: 3, rope_theta: 1e4 },
  llamaOdd: { ...base, architectures: ["LlamaForCausalLM"], model_type: "llama", hidden_size: 18, intermediate_size: 29, num_hidden_layers: 3, num_attention_heads: 3, num_key_value_heads: 3, vocab_size: 71, attention_bias: true, mlp_bias: true, rope_theta: 5e5 },
} satisfies Record<string, RawConfig>;

/**
 * A checkpoint of random weights in memory: matrices uniform with standard deviation about 1 / sqrt(columns), gains
 * near 1, biases small. The values are those of the dtype, so that a float64 reference sees the same numbers.
 */
export async function randomModel(raw: RawConfig, dtype: FloatDtype = "F32", seed = 1): Promise<RandomModel> {
  const config = parseModelConfig(raw);
  const specs = expectedTensors(config).map(({ name, shape }) => ({ name, shape, dtype }));
  const { bytes, order } = writeSafetensorsHeader(specs, { format: "pt" });
  const file = new Uint8Array(order.at(-1)!.end);
  file.set(bytes);
  order.forEach((entry, i) => {
    const shape = specs.find((s) => s.name === entry.name)!.shape;
    const count = shape.reduce((a, b) => a * b, 1);
    const isNorm = entry.name.includes("norm");
    const values = randomFloats(seed * 1000 + i, count, shape.length === 2 ? 1.7 / Math.sqrt(shape[1]!) : 0.3);
    file.set(fromFloat32(isNorm ? values.map((v) => 1 + v) : values, dtype), entry.begin);
  });
  return { checkpoint: await openCheckpoint("tiny", [jsonFile("config.json", raw), memoryFile("model.safetensors", file)]), config };
}

/** Token sequences of the given lengths. */
export const randomTokens = (seed: number, vocab: number, lengths: number[]): number[][] =>
  lengths.map((length, s) => [...randomFloats(seed + s, length)].map((v) => Math.min(vocab - 1, Math.floor(((v + 1) / 2) * vocab))));
