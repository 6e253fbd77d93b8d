import { describe, expect, test } from "vitest";
import { answerNumber, compareAnswers, findAnswer, normaliseAnswer, reflects } from "../../../src/text/answers";

describe("where an answer is", () => {
  test.each([
    ["The final answer is $\\frac{1}{2}$. I hope it is correct. \\boxed{7}", "\\frac{1}{2}", "final answer is $…$"],
    ["so \\boxed{1} or \\boxed{\\frac{3}{4}}.", "\\frac{3}{4}", "boxed"],
    ["cut off: \\boxed{12", "12", "boxed"],
    ["thus \\boxed 5 holds", "5", "boxed"],
    ["<think>\n47+7=54\n</think>\nanswer=64", "64", "answer="],
    ["answer=62", "62", "answer="],
    ["The answer is 42. Next.", "42", "answer is"],
    ["Therefore the final answer is: $x=3$ indeed", "x=3", "final answer is"],
    ["所以答案是 12。", "12。", "答案是"],
    ["first 12, then 1,234.5", "1,234.5", "last number"],
    ["nothing here", "", "none"],
    ["<think>answer=1</think>", "1", "answer="],
    ["<think>\\boxed{1}</think> it is 9", "9", "last number"],
  ])("%j", (response, text, rule) => {
    const found = findAnswer(response);
    expect([found.text, found.rule]).toEqual([text, rule]);
    if (text) expect(response.slice(found.begin, found.end)).toBe(text);
  });
});

describe("whether it is the reference", () => {
  test.each([
    ["64", "64", "same text"], ["\\frac12", "0.5", "same number"], ["1/2", "\\dfrac{1}{2}", "same number"], ["1,234", "1234", "same text"],
    ["50%", "0.5", "same number, as a percentage"], ["50", "0.5", "same number, as a percentage"], ["50%", "50", "same number, as a percentage"],
    ["(1, 2)", "(1.0,2)", "same parts"], ["(A)", "A", "same choice"], ["A. yes", "A", "same choice"], ["12 cm", "12", "same text"],
    ["x = 3", "3", "same text"], ["3.00009", "3", "same number"], ["3.001", "3", "different"], ["", "3", "different"], ["(1,2)", "(1,2,3)", "different"], ["-\\frac{1}{2}", "-0.5", "same number"], ["0", "0.0", "same number"],
  ] as const)("%j and %j: %s", (answer, reference, rule) => expect(compareAnswers(answer, reference)).toBe(rule));

  test("normalisation keeps what has meaning", () => {
    expect(normaliseAnswer(" \\left( 1,\\! 2 \\right) ")).toBe("(1,2)");
    expect(normaliseAnswer("\\text{even}")).toBe("even");
    expect(answerNumber("2x")).toBeUndefined();
    expect(answerNumber("12%")).toEqual({ value: 12, percent: true });
  });
});

test("words of reflection", () => {
  expect(["wait, check 54-7=47 ok", "Let me check this", "I double-check", "RECAP"].map(reflects)).toEqual([true, true, true, true]);
  expect(["answer=64", "awaiting"].map(reflects)).toEqual([false, false]);
});
