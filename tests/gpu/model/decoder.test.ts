import { describe, expect, test } from "vitest";
import type { FloatDtype } from "../../../src/core/tensors";
import { everywhere, useForms } from "../../../src/kernels/nn/forms";
import { createDecoder, type DecoderOptions, type PassOptions } from "../../../src/model/decoder";
import * as reference from "../../reference/model/decoder";
import { collectGradients } from "../../support/collectGradients";
import { expectClose } from "../../support/compare";
import { testGpu } from "../../support/gpu";
import { float64Parameters } from "../../support/nodeCheckpoint";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";

type Name = keyof typeof TINY;

/** Runs forward and pass, and compares losses, logits, hidden states and every gradient of every sequence. */
async function compare(name: Name, dtype: FloatDtype, lengths: number[], options: DecoderOptions = {}, labels?: PassOptions["labels"] & { targets?: number[][] }): Promise<void> {
  const gpu = await testGpu();
  const { checkpoint, config } = await randomModel(TINY[name], dtype);
  const parameters = await float64Parameters(checkpoint);
  const sequences = randomTokens(11, config.vocab, lengths);
  const decoder = createDecoder(gpu, checkpoint, config, options);
  const of = (s: number): reference.LossOptions => ({ ...(labels?.targets ? { targets: labels.targets[s]! } : {}), ...(labels?.weights ? { weights: labels.weights[s]! } : {}) });
  const want = sequences.map((tokens, s) => ({ ...reference.forward(config, parameters, tokens), ...reference.gradients(config, parameters, tokens, of(s)), loss: reference.forward(config, parameters, tokens, labels?.targets ? { targets: labels.targets[s]!.map((t) => t) , weights: tokens.map((_, t) => (t + 1 < tokens.length ? 1 / (tokens.length - 1) : 0)) } : {}).loss }));

  const forward = await decoder.forward(sequences, { keepHidden: true, logitsOf: () => true });
  if (!labels?.targets) expectClose(forward.losses, want.map((w) => w.loss), { atol: 2e-6, rtol: 1e-6 }, "losses");
  sequences.forEach((tokens, s) => {
    want[s]!.hidden.forEach((h, i) => expectClose(forward.hidden![s]![i]!, h, { atol: 1e-5 * h.reduce((m, v) => Math.max(m, Math.abs(v)), 0) }, `hidden ${i} of sequence ${s}`));
    const logits = forward.logits.filter((l) => l.sequence === s);
    expect(logits.map((l) => l.position)).toEqual(tokens.map((_, t) => t));
    expectClose(logits.flatMap((l) => [...l.values]), want[s]!.logits, { atol: 2e-5 }, `logits of sequence ${s}`);
  });

  const lossScale = 2 ** 12;
  const { visitor, gradients } = collectGradients(gpu, sequences.length, lossScale);
  const pass = await decoder.pass(sequences, { visitor, lossScale, labels });
  expectClose(pass.losses, want.map((w) => w.loss), { atol: 2e-6, rtol: 1e-6 }, "losses of the pass");
  sequences.forEach((_, s) => {
    expect([...gradients[s]!.keys()].sort()).toEqual([...parameters.keys()].sort());
    for (const [tensor, w] of want[s]!.gradients) {
      const top = w.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      expectClose(gradients[s]!.get(tensor)!, w, { rtol: 1e-4, atol: 2e-5 * top + 1e-9 }, `gradient of ${tensor}, sequence ${s}`);
    }
  });
}

describe("against the float64 reference", () => {
  test("Qwen3: q and k norms, head_dim unlike hidden / heads", () => compare("qwen3", "F32", [5, 9, 2]));
  test("Mistral: window 3 in sequences of 8 and 11", () => compare("mistral", "F32", [8, 11]));
  test("Qwen2 with a tied head, BF16", () => compare("qwen2Tied", "BF16", [7, 4]));
  test("Llama with every bias and odd sizes, F16", () => compare("llamaOdd", "F16", [6, 3]));
  test("several batches and vocabulary panels, untied", () => compare("qwen3", "BF16", [5, 4, 7, 2], { maxRows: 9, panelBytes: 4 * 20 * 16 }));
  test("several batches and vocabulary panels, tied", () => compare("qwen2Tied", "F32", [5, 4, 7, 2], { maxRows: 9, panelBytes: 4 * 24 * 10 }));
  test("Llama with every bias in a form of hardware: layers with one input in one dispatch", async () => {
    const gpu = await testGpu();
    const dispatches: number[] = [];
    const { checkpoint, config } = await randomModel(TINY.llamaOdd, "BF16");
    try {
      for (const form of ["register", "32x32/8x8"] as const) {
        useForms(gpu, everywhere(form));
        const before = gpu.dispatches;
        await createDecoder(gpu, checkpoint, config).forward(randomTokens(3, config.vocab, [4]));
        dispatches.push(gpu.dispatches - before);
      }
      // q, k and v one instead of three, gate and up one instead of two, in each of three blocks.
      expect(dispatches[0]! - dispatches[1]!).toBe(3 * 3);
      await compare("llamaOdd", "BF16", [6, 3]);
    } finally {
      useForms(gpu, undefined);
    }
  });
  test("given targets and row weights", () =>
    compare("mistral", "F32", [4, 5], {}, { targets: [[1, 2, 3, 4], [0, 46, 7, 7, 9]], weights: [[0.5, 0, 0.25, 0.125], [0, 0, 1, 0, 0]] }));
});

test("the order of the visits: head, norm, blocks from the last, embedding; a tied head last", async () => {
  const gpu = await testGpu();
  for (const name of ["llamaOdd", "qwen2Tied", "qwen3"] as const) {
    const { checkpoint, config } = await randomModel(TINY[name]);
    const sequences = randomTokens(1, config.vocab, [4]);
    const { visitor, order } = collectGradients(gpu, 1, 1);
    const layers: string[] = [];
    await createDecoder(gpu, checkpoint, config).pass(sequences, { visitor, lossScale: 1, onForwardBlock: (l) => layers.push(`f${l}`), onBackwardBlock: (l) => layers.push(`b${l}`) });
    const block = (l: number): string[] => [
      "mlp.down_proj", "mlp.gate_proj", "mlp.up_proj", "post_attention_layernorm", "self_attn.o_proj", "self_attn.v_proj",
      ...(config.qkNorm ? ["self_attn.k_norm"] : []), "self_attn.k_proj", ...(config.qkNorm ? ["self_attn.q_norm"] : []), "self_attn.q_proj", "input_layernorm",
    ].map((role) => `model.layers.${l}.${role}.weight`).concat(`block ${l}`);
    const blocks = Array.from({ length: config.layers }, (_, i) => block(config.layers - 1 - i)).flat();
    const embed = "model.embed_tokens.weight";
    expect(order).toEqual([...(config.tied ? [] : ["lm_head.weight 0"]), "model.norm.weight", ...blocks, embed, ...(config.tied ? [`${embed} 0`] : [])]);
    const up = Array.from({ length: config.layers }, (_, l) => l);
    expect(layers).toEqual([...up.map((l) => `f${l}`), ...up.reverse().map((l) => `b${l}`)]);
  }
});

test("targets may be formed from the logits, before the loss", async () => {
  const gpu = await testGpu();
  const { checkpoint, config } = await randomModel(TINY.qwen3);
  const sequences = randomTokens(4, config.vocab, [5, 3]);
  const decoder = createDecoder(gpu, checkpoint, config, { panelBytes: 4 * 20 * 16 });
  const best: { value: number; id: number }[] = Array.from({ length: 8 }, () => ({ value: -Infinity, id: 0 }));
  const { losses } = await decoder.forward(sequences, {
    onLogitsPanel: async ({ panel, logits }, batch) => {
      const values = await gpu.readFloats(logits, batch.rows * panel.rows);
      values.forEach((value, i) => {
        const row = Math.floor(i / panel.rows);
        if (value > best[row]!.value) best[row] = { value, id: panel.row0 + (i % panel.rows) };
      });
    },
    labels: { targets: async () => [best.slice(0, 5).map((b) => b.id), best.slice(5).map((b) => b.id)] },
  });
  const parameters = await float64Parameters(checkpoint);
  const want = sequences.map((tokens, s) => {
    const { logits } = reference.forward(config, parameters, tokens);
    const targets = tokens.map((_, t) => {
      const row = [...logits.subarray(t * config.vocab, (t + 1) * config.vocab)];
      return row.indexOf(Math.max(...row));
    });
    expect(best.slice(s * 5, s * 5 + tokens.length).map((b) => b.id)).toEqual(targets);
    return reference.forward(config, parameters, tokens, { targets, weights: tokens.map((_, t) => (t + 1 < tokens.length ? 1 / (tokens.length - 1) : 0)) }).loss;
  });
  expectClose(losses, want, { atol: 2e-6 });
});

test("a pass gives back its buffers, is repeatable to the bit, and stops when cancelled", async () => {
  const gpu = await testGpu();
  const { checkpoint, config } = await randomModel(TINY.llamaOdd);
  const sequences = randomTokens(2, config.vocab, [6, 5]);
  const decoder = createDecoder(gpu, checkpoint, config);
  const dys = async (): Promise<Float32Array[]> => {
    const out: Float32Array[] = [];
    await decoder.pass(sequences, { visitor: { linear: async ({ dy, N }, batch) => void out.push(await gpu.readFloats(dy, batch.rows * N)) } });
    return out;
  };
  const first = await dys();
  const allocated = gpu.allocatedBytes;
  expect(await dys()).toEqual(first);
  expect(gpu.allocatedBytes).toBe(allocated);

  const stop = new AbortController();
  const cancelled = decoder.pass(sequences, { visitor: {}, signal: stop.signal, onForwardBlock: (layer) => layer === 1 && stop.abort() });
  await expect(cancelled).rejects.toMatchObject({ code: "cancelled" });
  expect(await dys()).toEqual(first);
  expect(gpu.allocatedBytes).toBe(allocated);
});

test("a forward walk without a loss shows inputs and outputs of all modules, and computes the head for nobody", async () => {
  const gpu = await testGpu();
  const { checkpoint, config } = await randomModel(TINY.qwen3);
  const inputs: string[] = [];
  const outputs: string[] = [];
  const unread = { ...checkpoint, read: async (name: string, offset: number, length: number, into?: Uint8Array) => (name === "lm_head.weight" ? Promise.reject(new Error("the head was read")) : checkpoint.read(name, offset, length, into)) };
  const before = gpu.liveBytes;
  const { losses } = await createDecoder(gpu, unread, config).forward([[1, 2, 3]], {
    loss: false,
    visitor: {
      input: async ({ names, x, K, rowsPerToken }, batch) => {
        inputs.push(names.join(" "));
        expect((await gpu.readFloats(x, batch.rows * rowsPerToken * K)).every(Number.isFinite)).toBe(true);
      },
      output: async ({ name, y, N }, batch) => {
        outputs.push(name);
        expect((await gpu.readFloats(y, batch.rows * N)).every(Number.isFinite)).toBe(true);
      },
    },
  });
  expect(losses).toEqual([]);
  expect(gpu.liveBytes).toBe(before);
  const full = (l: number, name: string): string => `model.layers.${l}.${name}.weight`;
  const [qkv, gateUp] = [["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], ["mlp.gate_proj", "mlp.up_proj"]];
  const modules = [["input_layernorm"], qkv, ["self_attn.q_norm"], ["self_attn.k_norm"], ["self_attn.o_proj"], ["post_attention_layernorm"], gateUp, ["mlp.down_proj"]];
  expect(inputs).toEqual([...[0, 1].flatMap((l) => modules.map((names) => names!.map((name) => full(l, name)).join(" "))), "model.norm.weight", "lm_head.weight"]);
  expect(outputs).toEqual(["model.embed_tokens.weight", ...[0, 1].flatMap((l) => [...qkv!, "self_attn.o_proj", ...gateUp!, "mlp.down_proj"].map((name) => full(l, name))), "model.norm.weight"]);
});

test("hidden states that wait on the host change nothing, and logits can be had without a loss", async () => {
  const gpu = await testGpu();
  const { checkpoint, config } = await randomModel(TINY.llamaOdd);
  const sequences = randomTokens(2, config.vocab, [6, 5, 4]);
  const [here, waiting] = await Promise.all(
    [false, true].map((inputsOnHost) => createDecoder(gpu, checkpoint, config, { inputsOnHost, maxRows: 9 }).forward(sequences, { loss: false, keepHidden: true, logitsOf: (_, position) => position === 1 })),
  );
  expect(waiting).toEqual(here);
  expect(here!.logits.length).toBe(3);
});

test("a tensor whose shape is not that of config.json is named", async () => {
  const { checkpoint, config } = await randomModel(TINY.qwen3);
  const gpu = await testGpu();
  expect(() => createDecoder(gpu, checkpoint, { ...config, intermediate: 30 })).toThrow(/"model.layers.0.mlp.gate_proj.weight" is \[28, 20\], and config.json asks for \[30, 20\]/);
});

test("the head is swept in panels, each shown with its first row", async () => {
  const gpu = await testGpu();
  const { checkpoint, config } = await randomModel(TINY.qwen3);
  const { visitor, order } = collectGradients(gpu, 3, 1);
  await createDecoder(gpu, checkpoint, config, { maxRows: 6, panelBytes: 4 * 20 * 16 }).pass(randomTokens(1, config.vocab, [3, 3, 4]), { visitor, lossScale: 1 });
  expect(order.slice(0, 9)).toEqual([0, 0, 16, 16, 32, 32, 48, 48].map((row) => `lm_head.weight ${row}`).concat("model.norm.weight"));
});

test("labels that cannot be used are named", async () => {
  const gpu = await testGpu();
  const { checkpoint, config } = await randomModel(TINY.mistral);
  const decoder = createDecoder(gpu, checkpoint, config);
  await expect(decoder.forward([[1, 2, 3]], { labels: { targets: [[1, 47, 0]] } })).rejects.toThrow("sequence 1 has 47 among its labels, at position 2");
  await expect(decoder.forward([[1, 2, 3], [4, 5]], { labels: { weights: [[1, 1, 1]] } })).rejects.toThrow("sequence 2 has 2 tokens and 0 row weights");
});
