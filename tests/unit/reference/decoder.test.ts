import { expect, test } from "vitest";
import { expectClose, randomFloats } from "../../support/compare";
import { finiteDifference } from "../../support/finiteDifference";
import { fixtureCheckpoint, fixtureJson, float64Parameters } from "../../support/nodeCheckpoint";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";
import { parseModelConfig } from "../../../src/model/config";
import * as reference from "../../reference/model/decoder";

test.each(Object.keys(TINY) as (keyof typeof TINY)[])("reference decoder: gradients agree with finite differences, %s", async (name) => {
  const { checkpoint, config } = await randomModel(TINY[name]);
  const parameters = await float64Parameters(checkpoint);
  const [tokens] = randomTokens(3, config.vocab, [6]);
  const options = { targets: [1, 2, 3, 4, 5, 6], weights: [0.5, 0, 0.25, 0.1, 0.3, 0.2] };
  const { gradients } = reference.gradients(config, parameters, tokens!, options);
  expect([...gradients.keys()].sort()).toEqual([...parameters.keys()].sort());
  for (const [tensor, gradient] of gradients) {
    const at = parameters.get(tensor)!;
    // Two random entries, and the largest: a zero gradient would agree with a step that does nothing.
    const largest = gradient.reduce((best, g, i) => (Math.abs(g) > Math.abs(gradient[best]!) ? i : best), 0);
    const picks = [...randomFloats(5, 2)].map((r) => Math.floor(((r + 1) / 2) * at.length)).concat(largest);
    const slopes = finiteDifference(at, () => reference.forward(config, parameters, tokens!, options).loss, picks, 3e-3);
    expectClose(picks.map((i) => gradient[i]!), picks.map((i) => slopes.get(i)!), { rtol: 1e-6, atol: 1e-8 }, tensor);
    expect(Math.abs(gradient[largest]!), tensor).toBeGreaterThan(1e-6);
  }
});

test.each(["qwen2-tiny-f32", "llama-tiny-bf16"])("reference decoder: losses of %s", async (set) => {
  const checkpoint = await fixtureCheckpoint(set, "base");
  const config = parseModelConfig(checkpoint.config);
  const parameters = await float64Parameters(checkpoint);
  const { fisher_N4_L16: sequences } = fixtureJson<Record<string, number[][]>>(set, "tokens.json");
  const { losses } = fixtureJson<{ losses: Record<string, number[]> }>(set, "reference.json");
  expectClose(sequences!.map((tokens) => reference.forward(config, parameters, tokens).loss), losses.base_loss_mean_per_sample_N4_L16!, { atol: 1e-12 });
});
