import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { StudioError } from "../../../src/core/errors";
import { drawProblems, parseProblems, readProblems, tierSizes } from "../../../src/core/problems";

const caught = (content: string): StudioError => {
  try {
    parseProblems("set.jsonl", content);
  } catch (error) {
    if (error instanceof StudioError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};

describe("problems of a .jsonl file", () => {
  test("have a prompt, an answer and a tier", () => {
    const { problems, name } = parseProblems("set.jsonl", '{"prompt":"1+1=?\\n","answer":"2","tier":"easy","id":7}\r\n\n{"prompt":"2+2","answer":4}\n');
    expect(name).toBe("set.jsonl");
    expect(problems).toEqual([{ prompt: "1+1=?\n", answer: "2", tier: "easy" }, { prompt: "2+2", answer: "4" }]);
  });

  test("are told apart by what they ask, not by the file's name", () => {
    const key = (name: string, answer: string): string => parseProblems(name, JSON.stringify({ prompt: "p", answer })).key;
    expect(key("a.jsonl", "1")).toBe(key("b.jsonl", "1"));
    expect(key("a.jsonl", "1")).not.toBe(key("a.jsonl", "2"));
  });

  test("a part of them has of each tier its share, the first ones, in the order of the file", () => {
    const set = (tiers: string): ReturnType<typeof parseProblems>["problems"] => [...tiers].map((tier, i) => ({ prompt: `p${i}`, answer: "1", ...(tier === "-" ? {} : { tier }) }));
    const drawn = (tiers: string, count: number): string => drawProblems(set(tiers), count).map((p) => p.prompt.slice(1)).join(" ");
    expect(drawn("aaaabbbb", 4)).toBe("0 1 4 5");
    expect(drawn("aaaabbbb", 3)).toBe("0 1 4");
    expect(drawn("abababbb", 4)).toBe("0 1 2 3"); // 1.5 and 2.5: of equal remainders the first tier's
    expect(drawn("aaaaaaabbb", 4)).toBe("0 1 2 7"); // 2.8 and 1.2
    expect(drawn("aaaaaaaaab", 4)).toBe("0 1 2 3"); // 3.6 and 0.4
    expect(drawn("----aa", 3)).toBe("0 1 4");
    expect(drawn("------", 2)).toBe("0 1");
    expect(drawn("abc", 7)).toBe("0 1 2");
    expect([...tierSizes(drawProblems(set("aab-b"), 5))]).toEqual([["a", 2], ["b", 2], [undefined, 1]]);
  });

  test.each([
    ['{"prompt":"p","answer":"1"}\n{"prompt":"p",', 2, /^Reading the problems set\.jsonl: line 2 is no valid JSON/],
    ['{"prompt":"p","answer":"1"}\n\n[1]', 3, /line 3 is a list/],
    ['{"question":"p","answer":"1"}', 1, /line 1 has no field "prompt" among "question", "answer"\. Each line needs/],
    ['{"prompt":" ","answer":"1"}', 1, /line 1 has no text in the field "prompt"/],
    ['{"prompt":"p"}', 1, /line 1 has no field "answer"/],
    ['{"prompt":"p","answer":["1"]}', 1, /line 1 has no text or number in the field "answer"/],
    ['{"prompt":"p","answer":""}', 1, /line 1 has an empty "answer"/],
    ['{"prompt":"p","answer":"1","tier":[3]}', 1, /line 1 has a "tier" that is no text/],
    ['{"prompt":"p","answer":"so ####"}', 1, /line 1 has an empty "answer"/],
    ['{"prompt":"p","answer":null}', 1, /line 1 has no text or number/],
    ["{}", 1, /line 1 has no field "prompt"\./],
  ])("%j is refused with its line", (content, line, message) => {
    const error = caught(content);
    expect(error.code).toBe("bad-file");
    expect(error.message).toMatch(message);
    expect(error.details).toMatchObject({ line, where: `set.jsonl, line ${line}` });
  });

  test("an empty file and a JSON list are refused", () => {
    expect(caught("\n \n").message).toMatch(/the file is empty/);
    expect(caught('\n[\n {"prompt":"p","answer":"1"}\n]').message).toBe("Reading the problems set.jsonl: the file is one JSON list. Write each object of the list on a line of its own, without commas between them.");
  });

  test("a byte order mark is no part of a file, other encodings and too large ones are named as problems", async () => {
    expect((await readProblems(new File(["\ufeff", '{"prompt":"p","answer":0.5,"tier":null}'], "a.jsonl"))).problems).toEqual([{ prompt: "p", answer: "0.5" }]);
    await expect(readProblems(new File([Uint8Array.of(0xff, 0xfe, 0x7b)], "b.jsonl"))).rejects.toThrow("Reading the problems b.jsonl: the file is no valid UTF-8 text. Save it as UTF-8.");
    await expect(readProblems(new File([Uint8Array.of(0xff)], "b.jsonl"))).rejects.toMatchObject({ details: { title: "The problems cannot be used" } });
    await expect(readProblems({ name: "c.jsonl", size: 65e6, arrayBuffer: () => Promise.reject(new Error("was read")) })).rejects.toThrow(/^Reading the problems c\.jsonl: the file has 65.* MB, and at most 64.* MB are read\. Give a part of it\.$/);
  });

  test("of an answer with its working the result counts; a tier may be a number", () => {
    expect(parseProblems("gsm8k.jsonl", JSON.stringify({ prompt: "p", answer: "48/2 = 24\n#### 1,072", tier: 2 })).problems).toEqual([{ prompt: "p", answer: "1,072", tier: "tier 2" }]);
  });

  test("those of the sample pair can be read", async () => {
    const bytes = readFileSync(resolve(import.meta.dirname, "../../../public/samples/problems.jsonl"));
    const { problems } = await readProblems(new File([bytes], "problems.jsonl"));
    expect(problems).toHaveLength(300);
    expect(problems[0]).toEqual({ prompt: "71*4+7-1=?\n", answer: "90", tier: "easy" });
    expect([...tierSizes(drawProblems(problems, 60))]).toEqual([["easy", 30], ["hard", 30]]);
  });
});
