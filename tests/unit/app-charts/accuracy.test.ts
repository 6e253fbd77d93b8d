import { describe, expect, test } from "vitest";
import { accuracyAxes, zoomNote, type AccuracyPoint } from "../../../src/app/charts/accuracyAxes";
import { toCsv } from "../../../src/app/charts/csv";
import { grouped, groupLabel, placeLabels, shortened, spread } from "../../../src/app/charts/labels";
import { accuracyPoints, itemRows, median, POINT_COLUMNS, SCORE_COLUMNS, settingsDiffer } from "../../../src/app/panels/try/evaluateModel";
import type { ScoreRow } from "../../../src/app/state/contenders";
import type { JudgedAnswer } from "../../../src/core/trying";

const interval = (mean: number, room: number) => ({ mean, low: mean - room, high: mean + room });
const point = (accuracy: number, length: number): AccuracyPoint => ({ id: `${accuracy}`, role: "base", label: "b", accuracy: interval(accuracy, 0.05), length: interval(length, 4) });
const row = (name: string, role: ScoreRow["role"], temperature = 0): ScoreRow => ({
  id: name, role, name, settings: temperature ? "sampled" : "greedy",
  score: { time: 0, set: "k/10", problems: "p", options: { maxNewTokens: 64, temperature, topK: 0, topP: 1, repetitionPenalty: 1, seed: 42, prompt: "raw" }, samples: 1, summary: { problems: 10, accuracy: interval(0.9, 0.1), length: interval(50, 5), medianLength: 48, truncated: 0.1, reflecting: 0.25 }, majority: [] },
});
const judged = (right: boolean, tokens = 10): JudgedAnswer => ({ text: "t", tokens, truncated: false, found: "1", rule: "last number", right, verdict: "same number", reflects: false });

describe("axes of accuracy and length", () => {
  test("end at 100 %, begin below the lowest bar, and say so", () => {
    const { x, y } = accuracyAxes([point(0.5, 12), point(0.95, 108)]);
    expect(y.domain).toEqual([0.4, 1]);
    expect(y.ticks.at(-1)).toBe(1);
    expect(x.domain[0]).toBe(0);
    expect(x.domain[1]).toBeGreaterThan(112);
    expect(zoomNote([point(0.5, 12)])).toBe(", axis 40–100%");
  });
  test("low accuracies are seen from 0, without a note; nothing has axes too", () => {
    expect(accuracyAxes([point(0.22, 12)]).y.domain).toEqual([0, 1]);
    expect(zoomNote([point(0.22, 12)])).toBe("");
    expect(accuracyAxes([]).y.ticks).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  });
});

describe("labels", () => {
  const plot = { left: 0, right: 400, top: 0, bottom: 300 };
  test("stand at the right, and at the left where there is no room", () => {
    const [a, b] = placeLabels([{ x: 100, y: 100, text: "one", radius: 5 }, { x: 390, y: 100, text: "a long name", radius: 5 }], plot);
    expect([a!.anchor, b!.anchor]).toEqual(["start", "end"]);
  });
  test("keep off each other", () => {
    const [a, b] = placeLabels([{ x: 100, y: 100, text: "first point", radius: 5 }, { x: 125, y: 102, text: "second point", radius: 5 }], plot);
    expect(Math.abs(a!.y - b!.y) >= 12 || a!.anchor !== b!.anchor).toBe(true);
  });
  test("of points on each other are one, each name once", () => {
    expect(grouped([{ x: 0, y: 0 }, { x: 100, y: 0 }, { x: 3, y: 3 }], 9)).toEqual([[0, 2], [1]]);
    expect(groupLabel([{ label: "A", note: "greedy" }, { label: "A", note: "sampled" }, { label: "B" }])).toBe("A (greedy, sampled), B");
    expect(shortened("DeepSeek-R1-Distill-Qwen-1.5B")).toBe("DeepSeek-R1-Dis…-Qwen-1.5B");
  });
  test("at the ends of lines are spread, and stay inside", () => {
    expect(spread([50, 52, 200], 15, 0, 300)).toEqual([50, 65, 200]);
    expect(spread([290, 295], 15, 0, 300)).toEqual([280, 295].map((y) => y + 5));
  });
});

describe("results", () => {
  test("greedy and sampled are told apart only where both are there", () => {
    expect(accuracyPoints([row("a", "base"), row("b", "merged")], undefined).map((p) => p.note)).toEqual([undefined, undefined]);
    const mixed = [row("a", "base"), row("b", "merged", 0.7)];
    expect(accuracyPoints(mixed, undefined).map((p) => p.note)).toEqual(["greedy", "sampled"]);
    expect([settingsDiffer(mixed), settingsDiffer([row("a", "base")])]).toEqual([true, false]);
  });
  test("of a model at work are means without bars", () => {
    const live = { contender: { key: "merge", role: "merged" as const, name: "M", detail: "", model: { kind: "model" as const, id: "m" } }, items: [{ index: 0, responses: [judged(true, 10)] }, { index: 1, responses: [judged(false, 20)] }], of: 6 };
    expect(accuracyPoints([], live)).toEqual([{ id: "live merge", role: "merged", label: "M", accuracy: { mean: 0.5 }, length: { mean: 15 }, progress: "2 of 6" }]);
    expect(accuracyPoints([], { ...live, items: [] })).toEqual([]);
    expect(toCsv(POINT_COLUMNS, accuracyPoints([], live)).split("\r\n")[1]).toBe("M,0.5,,,15,,,2 of 6");
  });
  test("go into a file in full", () => {
    const [head, line] = toCsv(SCORE_COLUMNS, [row("a, b", "base")]).split("\r\n");
    expect(head).toBe("name,role,problems,accuracy,accuracy_low,accuracy_high,tokens_mean,tokens_low,tokens_high,tokens_median,cut,reflecting,settings");
    expect(line).toBe('"a, b",base,10,0.9,0.8,1,50,45,55,48,0.1,0.25,greedy');
  });
  test("by item: what differs is where one is right and another wrong", () => {
    const problems = [{ prompt: "p", answer: "1" }, { prompt: "q", answer: "2", tier: "hard" }, { prompt: "r", answer: "3" }];
    const rows = itemRows(problems, [{ items: [{ index: 0, responses: [judged(true)] }, { index: 1, responses: [judged(true)] }] }, { items: [{ index: 1, responses: [judged(false)] }] }, undefined]);
    expect(rows.map((r) => [r.index, r.differ, r.answers.map((a) => a?.right)])).toEqual([[0, false, [true, undefined, undefined]], [1, true, [true, false, undefined]]]);
  });
});

test("one problem gives a mean but no bar, and a median between two lengths is not rounded", () => {
  const alone = { mean: 5, low: NaN, high: NaN };
  const base = row("a", "base");
  const [drawn] = accuracyPoints([{ ...base, score: { ...base.score, summary: { ...base.score.summary, length: alone } } }], undefined);
  expect(drawn!.length).toEqual({ mean: 5 });
  expect([median(48), median(132.5)]).toEqual(["48", "132.5"]);
});
