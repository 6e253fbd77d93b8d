import { describe, expect, test } from "vitest";
import { heatDomain, heatRows, heatSummary } from "../../../src/app/charts/heat";
import { linearTick, layerRange, scientificTick } from "../../../src/app/charts/numbers";
import { alphaSummary, deltaSummary, extremes, fisherSummary, keptSummary, scoreSummary } from "../../../src/app/charts/summaries";
import type { LayerRow, TensorRow } from "../../../src/engine/api";

const row = (layer: number, values: Partial<LayerRow> = {}): LayerRow => ({ layer, alpha: undefined, gateAlpha: undefined, fisher: undefined, delta2: undefined, s: undefined, kept: undefined, delta2ShareKept: undefined, ...values });

describe("summaries", () => {
  test("name the extremes and their layers", () => {
    expect(alphaSummary([row(0, { alpha: 0.5 }), row(1, { alpha: 0.731 }), row(2, { alpha: 0.7 })])).toBe("Alpha per layer. Lowest 0.500 at layer 0, highest 0.731 at layer 1, mean 0.644.");
    expect(scoreSummary([row(0, { s: -13.75 }), row(1, { s: -20.7 })], { median: -17.225 })).toMatch(/^Score per layer\. Lowest −20\.70 at layer 1, highest −13\.75 at layer 0, median −17\.2[23]\.$/);
    expect(keptSummary([row(0, { kept: 0.2, delta2ShareKept: 0.35 }), row(1, { kept: 0.21, delta2ShareKept: 0.52 })])).toBe("Entries kept after trimming. Lowest 20.0% at layer 0, highest 21.0% at layer 1, carrying 35% to 52% of the squared change.");
  });
  test("say what is missing", () => {
    expect(fisherSummary([row(0), row(1, { fisher: 1e-3 }), row(2, { fisher: 2e-3 })])).toBe("Fisher per layer, log scale. Lowest 1.00e−3 at layer 1, highest 2.00e−3 at layer 2. 1 of 3 layers are not known.");
    expect(deltaSummary([row(0), row(1)])).toBe("Mean squared change per layer. Not known yet.");
  });
  test("own up to zeros that a log axis cannot show", () => {
    expect(fisherSummary([row(0, { fisher: 0 }), row(1, { fisher: 2e-3 })])).toContain("1 of 2 are exactly 0");
  });
  test("one layer, or one value everywhere, has no extremes", () => {
    expect(alphaSummary([row(0, { alpha: 0.5 })])).toBe("Alpha per layer. 0.500 at layer 0, mean 0.500.");
    expect(alphaSummary([row(0, { alpha: 0.5 }), row(1, { alpha: 0.5 })])).toBe("Alpha per layer. 0.500 at every known layer, mean 0.500.");
  });
  test("extremes take the first layer of equals and skip what is not a number", () => {
    expect(extremes([row(0, { s: NaN }), row(1, { s: 2 }), row(2, { s: 2 })], "s")).toEqual({ low: 2, lowLayer: 1, high: 2, highLayer: 1, count: 2 });
  });
});

describe("ticks", () => {
  test("are as short as they can be exactly", () => {
    expect([1e-6, 1.5e-4, 0, 10].map(scientificTick)).toEqual(["1e−6", "1.5e−4", "0", "1e1"]);
    expect([-22, -20].map(linearTick([-22, -20]))).toEqual(["−22", "−20"]);
    expect([0.5, 0.55].map(linearTick([0.5, 0.55]))).toEqual(["0.50", "0.55"]);
    expect([0, 0.5].map(linearTick([0, 0.5]))).toEqual(["0.0", "0.5"]);
  });
  test("ranges of layers", () => {
    expect(layerRange([0, 10])).toBe("0–10");
    expect(layerRange([3, 3])).toBe("3");
  });
});

describe("heat map", () => {
  const tensor = (role: string, layer: number | undefined, fisherMean: number | undefined, name = `model.layers.${layer}.${role}.weight`): TensorRow => ({ name, role, layer, elements: 4, fisherMean, delta2Mean: undefined, threshold: undefined, kept: undefined, delta2ShareKept: undefined, alpha: undefined, rho: undefined, calibrated: false });
  const tensors = [tensor("q_proj", 0, 1e-3), tensor("v_proj", 0, 8e-3), tensor("q_proj", 1, 2e-5), tensor("q_proj", 1, 9, "model.layers.1.q_proj.bias"), tensor("norm", 1, 5), tensor("lm_head", undefined, 7)];
  test("takes the seven weights of the blocks and nothing else", () => {
    const rows = heatRows(tensors, 2, "fisherMean");
    expect(rows).toEqual([{ layer: 0, values: { q_proj: 1e-3, v_proj: 8e-3 } }, { layer: 1, values: { q_proj: 2e-5 } }]);
    expect(heatDomain(rows, "fisherMean")!.map(Math.log10).map(Math.round)).toEqual([-5, -2]);
    expect(heatSummary(rows, "fisherMean")).toMatch(/^F by tensor kind and layer\. Over all layers v_proj is highest with 8\.00e−3, q_proj lowest with 1\.41e−4\.$/);
  });
  test("says when nothing is known", () => {
    expect(heatDomain(heatRows(tensors, 2, "alpha"), "alpha")).toBeUndefined();
    expect(heatSummary(heatRows(tensors, 2, "alpha"), "alpha")).toContain("Not known yet");
  });
});
