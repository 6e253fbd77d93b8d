/** Model folders made in memory: any configuration, zero weights, any fault. */
import { memoryFile, type FileSource } from "../../src/core/files";
import type { Checkpoint, Dtype } from "../../src/core/tensors";
import { openCheckpoint } from "../../src/formats/checkpoint";
import { writeSafetensorsHeader, type TensorSpec } from "../../src/formats/safetensors";
import { parseModelConfig, type RawConfig } from "../../src/model/config";
import { expectedTensors } from "../../src/model/architectures";

export const qwen2Config: RawConfig = {
  architectures: ["Qwen2ForCausalLM"], model_type: "qwen2", hidden_size: 8, intermediate_size: 12, num_hidden_layers: 2, num_attention_heads: 2,
  num_key_value_heads: 1, vocab_size: 20, rms_norm_eps: 1e-6, rope_theta: 10000, max_position_embeddings: 64, tie_word_embeddings: false,
  hidden_act: "silu", bos_token_id: 1, eos_token_id: 2, torch_dtype: "bfloat16",
};

export const jsonFile = (path: string, value: unknown): FileSource => memoryFile(path, new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value)));

/** A safetensors file of these tensors, filled with zeros. */
export function weightsFile(path: string, tensors: readonly TensorSpec[], metadata: Record<string, string> = { format: "pt" }): FileSource {
  const { bytes, order } = writeSafetensorsHeader(tensors, metadata);
  const whole = new Uint8Array(order.at(-1)?.end ?? bytes.length);
  whole.set(bytes);
  return memoryFile(path, whole);
}

export interface ModelOptions {
  config?: Record<string, unknown>;
  /** Keys to leave out of the configuration. */
  drop?: string[];
  dtype?: Dtype;
  /** Changes the list of tensors that the configuration asks for. */
  tensors?: (expected: TensorSpec[]) => TensorSpec[];
  files?: FileSource[];
}

/** The tensors that a configuration asks for, in one dtype. */
export const specsOf = (config: RawConfig, dtype: Dtype = "BF16"): TensorSpec[] => expectedTensors(parseModelConfig(config)).map(({ name, shape }) => ({ name, dtype, shape }));

export function modelConfig({ config = {}, drop = [] }: ModelOptions = {}): RawConfig {
  return Object.fromEntries(Object.entries({ ...qwen2Config, ...config }).filter(([key]) => !drop.includes(key)));
}

/** A folder of one file, opened. */
export async function tinyModel(name: string, options: ModelOptions = {}): Promise<Checkpoint> {
  const config = modelConfig(options);
  const known = { ...config, architectures: ["Qwen2ForCausalLM"] };
  const isKnown = ["Qwen2ForCausalLM", "LlamaForCausalLM", "MistralForCausalLM", "Qwen3ForCausalLM"].includes(String((config.architectures as string[] | undefined)?.[0]));
  const specs = specsOf(isKnown ? config : known, options.dtype);
  return openCheckpoint(name, [jsonFile("config.json", config), weightsFile("model.safetensors", options.tensors?.(specs) ?? specs), ...(options.files ?? [])]);
}
