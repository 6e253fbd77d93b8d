import { describe, expect, test } from "vitest";
import { answerNumber, compareAnswers, findAnswer, normaliseAnswer, reflects } from "../../../src/text/answers";

// Expected by hand from METHODS 12: the order of the rules, then their normalisation and equality.
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
    ["所以答案是 12。", "12", "答案是"],
    ["first 12, then 1,234.5", "1,234.5", "last number"],
    ["nothing here", "", "none"],
    ["<think>answer=1</think>", "1", "answer="],
    ["<think>\\boxed{1}</think> it is 9", "9", "last number"],
    ["<think>so \\boxed{4}</think>\nAs shown above.", "4", "boxed"],
    ["<think>\\boxed{4}, wait, 5 then", "4", "boxed"],
    ["\\boxed { \\frac{1}{2} }", "\\frac{1}{2}", "boxed"],
    ["\\boxed5$ and {6}", "5", "boxed"],
    ["\\boxed{\\{1, 2\\}}", "\\{1, 2\\}", "boxed"],
    ["\\boxed{1} so \\boxed", "1", "last number"],
    ["The answer is:\n\n$$42$$", "42", "answer is"],
    ["The answer is 5. Here $a+b$ is 3", "5", "answer is"],
    ["the answer is \\(7\\) apples", "7", "answer is"],
    ["The answer is $5 or $6.", "$5 or $6", "answer is"],
    ["The answer is 3.5.", "3.5", "answer is"],
    ["THE ANSWER IS −５", "−５", "answer is"],
    ["My answer is 3. The answer is 4. One answer is 5", "4", "answer is"],
    ["答案是：\n12。因为 7", "12", "答案是"],
    ["about .5", ".5", "last number"],
    ["costs 1,234,567", "1,234,567", "last number"],
    ["1.5e-3", "1.5e-3", "last number"],
    ["x = -7", "-7", "last number"],
    ["x = −7.", "−7", "last number"],
    ["half is 3/4", "3/4", "last number"],
    ["a rise of 12%!", "12%", "last number"],
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
    // Newline, punctuation, unit and latex normalisation.
    ["12。", "12", "same text"], ["−５", "-5", "same text"], ["**42**.", "42", "same text"], ["$5.$", "5", "same text"], ["\\[7\\]", "7", "same text"], ["\\text{ 12 cm}", "12", "same text"],
    ["12\\ \\mathrm{cm}^2", "12", "same text"], ["5 m", "5", "same text"], ["3m", "3", "different"], ["days", "days", "same text"], ["minutes", "hours", "different"], ["them", "the", "different"], ["program", "progra", "different"],
    ["$1,234.50", "1234.5", "same number"], ["1{,}234", "1234", "same text"], ["1\\,234", "1234", "same text"], ["x\n= 3", "3", "same text"], ["\\{3\\}", "3", "same text"], ["{ 3 }", "3", "same text"],
    // Numbers: 1e-4 relative, a hundredth and a hundredfold.
    ["6.02 \\times 10^{23}", "6.02e23", "same number"], ["1.5E3", "1500", "same number"], ["2 \\cdot 10^3", "2000", "same number"], ["-.5", "-1/2", "same number"], ["1 1/2", "1.5", "same number"], ["-1 1/2", "-1.5", "same number"],
    ["1\\frac{1}{2}", "1.5", "same number"], ["11/2", "5.5", "same number"], ["\\frac1{2}", "0.5", "same number"], ["\\frac{1}2", "0.5", "same number"], ["12 percent", "12%", "same text"], ["0.125", "12.5", "same number, as a percentage"], ["12.5\\%", "0.125", "same number, as a percentage"],
    ["1.00009", "1", "same number"], ["1.0002", "1", "different"], ["1/0", "1", "different"], ["1.2.3", "1.2", "different"], ["-3", "3", "different"], ["100", "1", "same number, as a percentage"],
    // Choices, tuples and matrices.
    ["(B) 5", "B", "same choice"], ["option C", "C", "same choice"], ["\\text{(D)}", "D", "same choice"], ["A or B", "A", "different"], ["Because", "B", "different"], ["b", "B", "same text"],
    ["(1,200)", "(1, 200)", "same text"], ["[0, \\frac{1}{2})", "[0,0.5)", "same parts"], ["\\{1, 2.0\\}", "{1,2}", "same parts"], ["((1,2),3)", "((1,2.0),3)", "same parts"],
    ["\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{bmatrix}1.0\\\\2\\end{bmatrix}", "same parts"], ["\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix}1&2\\\\3&4.0\\end{pmatrix}", "same parts"],
    ["\\begin{pmatrix}1&2\\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", "different"], ["2x+1", "1+2x", "different"],
  ] as const)("%j and %j: %s", (answer, reference, rule) => expect(compareAnswers(answer, reference)).toBe(rule));

  test("normalisation keeps what has meaning", () => {
    expect(normaliseAnswer(" \\left( 1,\\! 2 \\right) ")).toBe("(1,2)");
    expect(normaliseAnswer("\\text{even}")).toBe("even");
    expect(answerNumber("2x")).toBeUndefined();
    expect(answerNumber("12%")).toEqual({ value: 12, percent: true });
  });
});

test("words of reflection", () => {
  expect(["wait, check 54-7=47 ok", "Wait!", "re-examine", "I double-check", "Let me check this", "RECAP", "let me just verify", "let me just check"].filter((text) => !reflects(text))).toEqual([]);
  expect(["answer=64", "awaiting the waiter", "double check", "recapture", "let me just see", ""].filter(reflects)).toEqual([]);
});
