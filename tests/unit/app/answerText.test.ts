import { describe, expect, test } from "vitest";
import { answerParts, divergence, firstDifferentToken, reflectionWords, thinkingRange } from "../../../src/app/panels/try/answerText";

const cut = (text: string, range: { from: number; to: number } | undefined): string | undefined => range && text.slice(range.from, range.to);

describe("thinking", () => {
  test.each([
    ["<think>a</think>b", "<think>a</think>"], ["a</think>b", "a</think>"], ["x <think>still", "<think>still"], ["no thought", undefined], ["b</think> then <think>c", "b</think>"],
  ])("of %j is %j", (text, think) => expect(cut(text, thinkingRange(text))).toBe(think));

  test("its words of reflection are counted, those of the answer are not", () => {
    expect(reflectionWords("<think>Wait, 2. Let me check. wait\nno recap</think>wait for it")).toBe("“wait” 2 × · “let me check” 1 × · “recap” 1 ×");
    expect(reflectionWords("wait")).toBe("");
  });

  const long = `<think>${Array.from({ length: 40 }, (_, i) => `line ${i}`).join("\n")}</think>\nanswer=7`;
  test("when long, its middle is folded, and nothing is lost", () => {
    const parts = answerParts(long, undefined, false);
    expect(parts.map((p) => p.kind)).toEqual(["think", "fold", "think", "text"]);
    expect(parts.map((p) => cut(long, p)).join("")).toBe(long);
    expect(parts[1]).toMatchObject({ lines: 34 });
    expect(cut(long, parts[3])).toBe("\nanswer=7");
    expect(answerParts(long, undefined, true).map((p) => p.kind)).toEqual(["think", "text"]);
  });

  test("a mark inside a fold stays in sight", () => {
    const from = long.indexOf("line 20");
    const parts = answerParts(long, { from, to: from + 4 }, false);
    expect(parts.map((p) => p.kind)).toEqual(["think", "fold", "mark", "think", "fold", "think", "text"]);
    expect(parts.map((p) => cut(long, p)).join("")).toBe(long);
  });

  test("a long line without an end is cut into lines", () => {
    const text = `<think>${"word ".repeat(400)}`;
    expect(answerParts(text, undefined, false).some((p) => p.kind === "fold")).toBe(true);
    expect(answerParts("x".repeat(5000), undefined, false)).toEqual([{ kind: "text", from: 0, to: 5000 }]);
  });
});

describe("where two answers part", () => {
  test.each([
    ["<think>\nOkay, so I", "<think>\nFirst part", "Okay,", "First"],
    ["the sum is 270 km", "the sum is 275 km", "270", "275"],
    ["<think>71*4=84", "<think>71*5=55", "71*4=84", "71*5=55"],
  ])("%j and %j", (a, b, left, right) => {
    const parted = divergence(a, b)!;
    expect([cut(a, parted[0]), cut(b, parted[1])]).toEqual([left, right]);
  });
  test("is not known while one is the beginning of the other", () => {
    expect(divergence("abc", "abc def")).toBeUndefined();
    expect(divergence("abc", "abc")).toBeUndefined();
  });
  test("in tokens", () => {
    expect(firstDifferentToken([1, 2, 3], [1, 2, 4])).toBe(3);
    expect(firstDifferentToken([1, 2], [1, 2, 4])).toBe(3);
    expect(firstDifferentToken([1, 2], [1, 2])).toBeUndefined();
  });
});
