/**
 * Makes model folders of any size: random bf16 weights in shards, or headers over sparse files that take no disk space.
 *
 *   node tests/support/makeCheckpoint.mjs --out DIR [--shape 1.5b | 7b | 300mb | tiny] [--side base | partner]
 *                                         [--seed N] [--max-shard-bytes N] [--headers-only] [--set key=value]...
 *
 *   --shape         sizes of Qwen2.5-1.5B, Qwen2.5-7B, or smaller ones of the same kind; 1.5b when absent
 *   --side          base: as published; partner: the same with an output head of its own and max_position_embeddings 131072
 *   --seed          of the weights; a partner is the base of the same seed plus small changes of its own, seed + 1
 *   --headers-only  every byte of weights is a hole in the file and reads as zero
 *   --set           another entry of config.json, for example num_hidden_layers=2
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const qwen = { architectures: ["Qwen2ForCausalLM"], model_type: "qwen2", hidden_act: "silu", rms_norm_eps: 1e-6, rope_theta: 1e6, torch_dtype: "bfloat16", bos_token_id: 151643, eos_token_id: 151643, max_position_embeddings: 32768 };
export const SHAPES = {
  "1.5b": { ...qwen, hidden_size: 1536, intermediate_size: 8960, num_hidden_layers: 28, num_attention_heads: 12, num_key_value_heads: 2, vocab_size: 151936, tie_word_embeddings: true },
  "7b": { ...qwen, hidden_size: 3584, intermediate_size: 18944, num_hidden_layers: 28, num_attention_heads: 28, num_key_value_heads: 4, vocab_size: 152064, tie_word_embeddings: false },
  "300mb": { ...qwen, bos_token_id: 0, eos_token_id: 0, hidden_size: 768, intermediate_size: 3072, num_hidden_layers: 14, num_attention_heads: 12, num_key_value_heads: 2, vocab_size: 32000, tie_word_embeddings: true },
  tiny: { ...qwen, bos_token_id: 0, eos_token_id: 0, hidden_size: 128, intermediate_size: 352, num_hidden_layers: 4, num_attention_heads: 4, num_key_value_heads: 2, vocab_size: 1000, tie_word_embeddings: true },
};

/** Names and shapes of a Qwen2 model, in the order of the published shards. */
export function tensorsOf(config) {
  const { hidden_size: C, intermediate_size: F, num_hidden_layers: L, num_attention_heads: H, num_key_value_heads: G, vocab_size: V } = config;
  const kv = (C / H) * G;
  const list = [["model.embed_tokens.weight", [V, C]]];
  for (let i = 0; i < L; i++) {
    const p = `model.layers.${i}.`;
    list.push(
      [`${p}input_layernorm.weight`, [C]], [`${p}mlp.down_proj.weight`, [C, F]], [`${p}mlp.gate_proj.weight`, [F, C]], [`${p}mlp.up_proj.weight`, [F, C]],
      [`${p}post_attention_layernorm.weight`, [C]], [`${p}self_attn.k_proj.bias`, [kv]], [`${p}self_attn.k_proj.weight`, [kv, C]], [`${p}self_attn.o_proj.weight`, [C, C]],
      [`${p}self_attn.q_proj.bias`, [C]], [`${p}self_attn.q_proj.weight`, [C, C]], [`${p}self_attn.v_proj.bias`, [kv]], [`${p}self_attn.v_proj.weight`, [kv, C]],
    );
  }
  list.push(["model.norm.weight", [C]]);
  if (!config.tie_word_embeddings) list.push(["lm_head.weight", [V, C]]);
  return list.map(([name, shape]) => ({ name, shape, elements: shape.reduce((a, b) => a * b, 1) }));
}

/** mulberry32: the same bits on every machine. */
function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
}

function hash(text) {
  let h = 2166136261;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  return h >>> 0;
}

const BLOCK = 1 << 20;
const scratch = { f32: new Float32Array(BLOCK), out: new Uint16Array(BLOCK) };
scratch.bits = new Uint32Array(scratch.f32.buffer);

/**
 * `count` bf16 values of one tensor, as f32 rounded: uniform with standard deviation 0.02, gains around 1. A partner adds a
 * change of a twentieth of that to nine values of ten.
 */
function fill(name, count, seed, isNorm, partner) {
  const base = random(hash(name) ^ Math.imul(seed, 2654435761));
  const change = partner ? random(hash(`${name}+`) ^ Math.imul(seed + 1, 2654435761)) : undefined;
  const scale = 0.02 * Math.sqrt(12);
  const { f32, bits, out } = scratch;
  return (n) => {
    for (let i = 0; i < n; i++) {
      let value = (base() / 2 ** 32 - 0.5) * scale + (isNorm ? 1 : 0);
      if (change) {
        const u = change();
        if (u % 10 !== 0) value += (u / 2 ** 32 - 0.5) * scale * 0.05;
      }
      f32[i] = value;
    }
    // Round to nearest, ties to even.
    for (let i = 0; i < n; i++) out[i] = (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) >>> 16;
    return out.subarray(0, n);
  };
}

function shardsOf(tensors, cap) {
  const shards = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    if (bytes > 0 && bytes + 2 * tensor.elements > cap) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1).push(tensor);
    bytes += 2 * tensor.elements;
  }
  return shards;
}

/**
 * Writes a model folder and returns { bytes, tensors, files }. `config` entries replace those of the shape.
 * @param {{ out: string, shape?: keyof typeof SHAPES, side?: "base" | "partner", seed?: number, maxShardBytes?: number, headersOnly?: boolean, config?: Record<string, unknown> }} options
 */
export function makeCheckpoint({ out, shape = "1.5b", side = "base", seed = 1, maxShardBytes = 2e9, headersOnly = false, config: change = {} }) {
  if (!SHAPES[shape]) throw new Error(`There is no shape "${shape}"; there are ${Object.keys(SHAPES).join(", ")}.`);
  if (side !== "base" && side !== "partner") throw new Error(`--side is "${side}", expected base or partner.`);
  const config = { ...SHAPES[shape], ...(side === "partner" ? { tie_word_embeddings: false, max_position_embeddings: 131072 } : {}), ...change };
  mkdirSync(out, { recursive: true });
  const tensors = tensorsOf(config);
  const shards = shardsOf(tensors, maxShardBytes);
  const weightMap = {};
  const files = [];
  let total = 0;
  shards.forEach((list, s) => {
    const path = shards.length === 1 ? "model.safetensors" : `model-${String(s + 1).padStart(5, "0")}-of-${String(shards.length).padStart(5, "0")}.safetensors`;
    const header = { __metadata__: { format: "pt" } };
    let at = 0;
    for (const { name, shape: dims, elements } of list) {
      header[name] = { dtype: "BF16", shape: dims, data_offsets: [at, (at += 2 * elements)] };
      weightMap[name] = path;
    }
    const text = Buffer.from(JSON.stringify(header));
    const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, " ")]);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(padded.length));
    const file = openSync(join(out, path), "w");
    writeSync(file, Buffer.concat([length, padded]));
    if (headersOnly) ftruncateSync(file, 8 + padded.length + at);
    else
      for (const { name, elements } of list) {
        // A head that the base shares with its embedding starts out as that embedding.
        const source = name === "lm_head.weight" && SHAPES[shape].tie_word_embeddings ? "model.embed_tokens.weight" : name;
        const next = fill(source, elements, seed, name.includes("norm"), side === "partner");
        for (let done = 0; done < elements; done += BLOCK) writeSync(file, new Uint8Array(next(Math.min(BLOCK, elements - done)).slice().buffer));
      }
    closeSync(file);
    files.push({ path, bytes: 8 + padded.length + at });
    total += at;
  });
  if (shards.length > 1) writeFileSync(join(out, "model.safetensors.index.json"), `${JSON.stringify({ metadata: { total_size: total }, weight_map: weightMap }, null, 2)}\n`);
  writeFileSync(join(out, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
  return { bytes: total, tensors: tensors.length, files };
}

function main(args) {
  const options = { config: {} };
  const value = (i) => {
    if (args[i + 1] === undefined) throw new Error(`${args[i]} needs a value.`);
    return args[i + 1];
  };
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--headers-only") options.headersOnly = true;
    else if (args[i] === "--out") options.out = resolve(value(i++));
    else if (args[i] === "--shape") options.shape = value(i++);
    else if (args[i] === "--side") options.side = value(i++);
    else if (args[i] === "--seed") options.seed = Number(value(i++));
    else if (args[i] === "--max-shard-bytes") options.maxShardBytes = Number(value(i++));
    else if (args[i] === "--set") {
      const [key, ...rest] = value(i++).split("=");
      options.config[key] = JSON.parse(rest.join("="));
    } else throw new Error(`Unknown argument "${args[i]}".`);
  }
  if (!options.out) throw new Error("The argument --out is needed.");
  const { bytes, tensors, files } = makeCheckpoint(options);
  console.log(`${tensors} tensors, ${bytes.toLocaleString("en-US")} bytes of weights${options.headersOnly ? " (holes)" : ""} in ${files.length} ${files.length === 1 ? "file" : "files"}: ${options.out}`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    main(process.argv.slice(2));
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
