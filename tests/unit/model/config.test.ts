import { describe, expect, test } from "vitest";
import { expectedTensors } from "../../../src/model/architectures";
import { parseModelConfig } from "../../../src/model/config";
import { inverseFrequencies, ropeTable } from "../../../src/model/rope";
import { fisherSupport } from "../../../src/model/support";
import { modelConfig, specsOf, tinyModel } from "../../support/models";

const parse = (config: Record<string, unknown> = {}, drop: string[] = []) => parseModelConfig(modelConfig({ config, drop }));
const as = (id: string) => ({ architectures: [id] });

describe("sizes and defaults", () => {
  test("head dim: explicit, else hidden / heads, Qwen3 128", () => {
    expect(parse().headDim).toBe(4);
    expect(parse({ head_dim: 16 }).headDim).toBe(16);
    expect(parse({ head_dim: null }).headDim).toBe(4);
    expect(parse(as("Qwen3ForCausalLM")).headDim).toBe(128);
  });
  test("kv heads: null is all heads, absent is the class's default", () => {
    expect(parse({ num_key_value_heads: null }).kvHeads).toBe(2);
    expect(parse(as("LlamaForCausalLM"), ["num_key_value_heads"]).kvHeads).toBe(2);
    expect(parse(as("MistralForCausalLM"), ["num_key_value_heads"]).kvHeads).toBe(8);
  });
  test("biases follow the class", () => {
    expect(parse()).toMatchObject({ qkvBias: true, oBias: false, qkNorm: false });
    expect(parse(as("LlamaForCausalLM"))).toMatchObject({ qkvBias: false, oBias: false });
    expect(parse({ ...as("LlamaForCausalLM"), attention_bias: true, mlp_bias: true })).toMatchObject({ qkvBias: true, oBias: true, mlpBias: true });
    expect(parse(as("Qwen3ForCausalLM"))).toMatchObject({ qkvBias: false, qkNorm: true });
  });
  test.each(["num_hidden_layers", "hidden_size", "vocab_size"])("%s missing or wrong is said", (key) => {
    expect(() => parse({}, [key])).toThrow(new RegExp(`"${key}" is missing`));
    expect(() => parse({ [key]: 1.5 })).toThrow(/1\.5/);
    expect(() => parse({ [key]: "28" })).toThrow(/"28"/);
  });
  test("a head dimension that is no whole number is said", () => expect(() => parse({ num_attention_heads: 3 })).toThrow(/head_dim/));
  test("unknown architecture", () => expect(() => parse(as("GemmaForCausalLM"))).toThrow(expect.objectContaining({ code: "unknown-architecture" })));
});

describe("sliding window", () => {
  const windows = (config: Record<string, unknown>, drop: string[] = []) => parse(config, drop).slidingWindow;
  test.each<[string, Record<string, unknown>, (number | undefined)[]]>([
    ["Qwen2 off by default", { sliding_window: 7 }, [undefined, undefined]],
    ["Qwen2 on, from max_window_layers", { sliding_window: 7, use_sliding_window: true, max_window_layers: 1 }, [undefined, 7]],
    ["Qwen2 on, first layer at 28", { sliding_window: 7, use_sliding_window: true }, [undefined, undefined]],
    ["Qwen2 layer_types decide", { sliding_window: 7, use_sliding_window: true, max_window_layers: 0, layer_types: ["sliding_attention", "full_attention"] }, [7, undefined]],
    ["Qwen2 null", { sliding_window: null, use_sliding_window: true, max_window_layers: 0 }, [undefined, undefined]],
    ["Mistral on every layer", { ...as("MistralForCausalLM"), sliding_window: 7 }, [7, 7]],
    ["Mistral null", { ...as("MistralForCausalLM"), sliding_window: null }, [undefined, undefined]],
    ["Mistral absent is 4096", as("MistralForCausalLM"), [4096, 4096]],
    ["Llama has none", { ...as("LlamaForCausalLM"), sliding_window: 7 }, [undefined, undefined]],
  ])("%s", (_, config, want) => expect(windows(config)).toEqual(want));
});

describe("rotary positions", () => {
  const llama3 = { factor: 32, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192, rope_type: "llama3" };
  test("both spellings", () => {
    const four = parse({ rope_theta: 5e5, rope_scaling: llama3 }).rope;
    const five = parse({ rope_parameters: { rope_theta: 5e5, ...llama3 } }, ["rope_theta"]).rope;
    expect(five).toEqual(four);
    expect(four.scaling).toEqual({ type: "llama3", factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPosition: 8192 });
    expect(parse({ rope_scaling: { type: "linear", factor: 2 } }).rope.scaling).toEqual({ type: "linear", factor: 2 });
    expect(parse({ rope_parameters: { rope_type: "default", rope_theta: 7 } }).rope).toEqual({ theta: 7, scaling: { type: "none" } });
    expect(parse({ rope_scaling: { rope_type: "yarn", factor: 4 } }).rope.scaling).toEqual({ type: "unsupported", name: "yarn" });
    expect(parse({}, ["rope_theta"]).rope.theta).toBe(10000);
  });
  test("plain frequencies and table", () => {
    expect([...inverseFrequencies(4, 10000, { type: "none" })]).toEqual([1, 0.01]);
    const { cos, sin } = ropeTable({ headDim: 4, rope: { theta: 10000, scaling: { type: "linear", factor: 2 } } }, 3);
    expect(cos.length).toBe(6);
    expect(cos[4]).toBe(Math.fround(Math.cos(2 * 0.5)));
    expect(sin[5]).toBe(Math.fround(Math.sin(2 * 0.005)));
  });
  // The rule written as transformers has it, with masks instead of branches.
  test("llama3 for Llama-3.2-1B against the formula in its other form", () => {
    const { scaling } = parse({ rope_theta: 5e5, rope_scaling: llama3 }).rope;
    const got = inverseFrequencies(64, 5e5, scaling);
    const seen = new Set<string>();
    for (let i = 0; i < 32; i++) {
      const f = 1 / 5e5 ** ((2 * i) / 64);
      const wave = (2 * Math.PI) / f;
      const scaled = wave > 8192 / 1 ? f / 32 : f;
      const smooth = (8192 / wave - 1) / (4 - 1);
      const medium = !(wave < 8192 / 4) && !(wave > 8192 / 1);
      seen.add(medium ? "medium" : wave > 8192 ? "low" : "high");
      const want = medium ? ((1 - smooth) * scaled) / 32 + smooth * scaled : scaled;
      expect(Math.abs(got[i]! - want)).toBeLessThanOrEqual(1e-14 * want);
    }
    expect(seen).toEqual(new Set(["high", "medium", "low"]));
    // First, a middle and last value of that model.
    expect(got[0]).toBe(1);
    expect(got[31]! * 5e5 ** (62 / 64) * 32).toBeCloseTo(1, 12);
  });
  test("a scaling without a formula is named", () => expect(() => inverseFrequencies(4, 1e4, { type: "unsupported", name: "yarn" })).toThrow(/yarn/));
});

describe("expected tensors", () => {
  const names = (config: Record<string, unknown>) => expectedTensors(parse(config)).map((t) => t.name);
  test("Qwen2-0.5B has 290, with its head 291", () => {
    const config = { num_hidden_layers: 24, hidden_size: 896, num_attention_heads: 14, num_key_value_heads: 2, intermediate_size: 4864, vocab_size: 151936 };
    const tied = expectedTensors(parse({ ...config, tie_word_embeddings: true }));
    expect(tied.length).toBe(290);
    expect(tied.reduce((n, t) => n + t.shape.reduce((a, b) => a * b), 0)).toBe(494032768);
    expect(names(config).length).toBe(291);
  });
  test("Qwen2.5-Math-1.5B: 338 tensors; with its own head 1,777,088,000 parameters", () => {
    const config = { num_hidden_layers: 28, hidden_size: 1536, num_attention_heads: 12, num_key_value_heads: 2, intermediate_size: 8960, vocab_size: 151936 };
    expect(names({ ...config, tie_word_embeddings: true }).length).toBe(338);
    expect(expectedTensors(parse(config)).reduce((n, t) => n + t.shape.reduce((a, b) => a * b), 0)).toBe(1777088000);
  });
  test("order: embedding, blocks, norm, head", () => {
    const list = names({});
    expect(list[0]).toBe("model.embed_tokens.weight");
    expect(list.at(-2)).toBe("model.norm.weight");
    expect(list.at(-1)).toBe("lm_head.weight");
    expect(list.indexOf("model.layers.1.input_layernorm.weight")).toBeGreaterThan(list.indexOf("model.layers.0.mlp.down_proj.weight"));
  });
  test("Qwen3 norms are per head", () => expect(expectedTensors(parse({ ...as("Qwen3ForCausalLM"), head_dim: 16 })).find((t) => t.role === "q_norm")?.shape).toEqual([16]));
});

describe("Fisher support names the missing part", () => {
  const support = (config: Record<string, unknown>) => fisherSupport(modelConfig({ config }), new Map());
  test.each<[string, Record<string, unknown>, RegExp]>([
    ["architecture", as("Gemma2ForCausalLM"), /Gemma2ForCausalLM.*only Qwen2, Llama, Mistral and Qwen3/],
    ["no name", { architectures: [] }, /unnamed architecture/],
    ["experts", { ...as("Qwen2MoeForCausalLM"), num_experts: 60 }, /mixture-of-experts routing \(num_experts 60\)/],
    ["softcapping", { final_logit_softcapping: 30 }, /softcapping/],
    ["residual multiplier", { residual_multiplier: 0.2 }, /residual_multiplier 0\.2/],
    ["partial rotary", { partial_rotary_factor: 0.5 }, /partial rotary/],
    ["activation", { hidden_act: "gelu" }, /"gelu"/],
    ["yarn", { rope_scaling: { type: "yarn", factor: 4 } }, /"yarn"/],
    ["output bias", { ...as("LlamaForCausalLM"), attention_bias: true }, /attention_bias/],
    ["mlp bias", { ...as("LlamaForCausalLM"), mlp_bias: true }, /mlp_bias/],
    ["uneven heads", { num_attention_heads: 4, num_key_value_heads: 3 }, /do not divide/],
    ["odd head dim", { head_dim: 5 }, /odd head dimension/],
    ["config without sizes", { hidden_size: null }, /hidden_size/],
    ["missing tensor", {}, /no tensor "model\.embed_tokens\.weight"/],
  ])("%s", (_, config, reason) => {
    const got = support(config);
    expect(got.available).toBe(false);
    expect(got.reason).toMatch(reason);
  });
  test("whole models of the four families are supported", async () => {
    for (const id of ["Qwen2", "Llama", "Mistral", "Qwen3"]) {
      const model = await tinyModel(id, { config: as(`${id}ForCausalLM`) });
      expect(fisherSupport(model.config, model.tensors)).toEqual({ available: true });
    }
  });
  test("wrong shape, integer weights and strangers are named", () => {
    const config = modelConfig();
    const specs = specsOf(config);
    const support = (change: (s: (typeof specs)[number]) => object) => fisherSupport(config, new Map(specs.map((s) => [s.name, { ...s, shape: [...s.shape], ...change(s) }]))).reason;
    expect(support((s) => (s.name.endsWith("q_proj.weight") ? { shape: [3, 3] } : {}))).toMatch(/is \[3, 3\], config\.json makes it \[8, 8\]/);
    expect(support((s) => (s.name.endsWith("norm.weight") ? { dtype: "F8_E4M3" } : {}))).toMatch(/F8_E4M3/);
    const strange = new Map([...specs, { name: "model.layers.0.self_attn.sinks", dtype: "F32" as const, shape: [2] }].map((s) => [s.name, { ...s, shape: [...s.shape] }]));
    expect(fisherSupport(config, strange).reason).toMatch(/sinks/);
  });
});
