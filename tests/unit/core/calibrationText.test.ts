import { describe, expect, test } from "vitest";
import { DEFAULT_CALIBRATION, givenCalibration, MAX_CALIBRATION_BYTES, needsCalibration, withCalibration } from "../../../src/core/calibration";
import type { Recipe } from "../../../src/core/recipe";
import { checkTextSize, decodeText, fieldOf, jsonLines, MAX_TEXT_FILE_BYTES, paragraphs, parseTextFile, plainField } from "../../../src/core/calibrationText";

describe("plain text", () => {
  test.each<[string, string, string[]]>([
    ["paragraphs between blank lines", "one\ntwo\n\nthree\n \t\n\n\nfour\n", ["one\ntwo", "three", "four"]],
    ["lines where there is no blank line", "one\ntwo\nthree", ["one", "two", "three"]],
    ["blank lines at the ends do not count", "\n\n  one\ntwo  \n\n", ["one", "two"]],
    ["line ends of Windows and old Macs", "one\r\ntwo\r\n\r\nthree\rfour", ["one\ntwo", "three\nfour"]],
    ["nothing", " \n\t\n", []],
  ])("%s", (_, content, texts) => expect(paragraphs(content)).toEqual(texts));

  test("that is empty is refused", () => expect(() => plainField("notes.txt", "\n")).toThrow("Reading the calibration text notes.txt: there is no text in it."));
});

describe("JSON lines", () => {
  test("offer each field that holds text, the likeliest first", () => {
    const fields = jsonLines("a.jsonl", '{"id": "x1", "answer": "4", "question": "2+2?", "n": 3}\n\n{"id": "x2", "question": "3+3?", "answer": ""}\r\n');
    expect(fields).toEqual([{ name: "question", texts: ["2+2?", "3+3?"], without: 0 }, { name: "id", texts: ["x1", "x2"], without: 0 }, { name: "answer", texts: ["4"], without: 1 }]);
  });

  test.each<[string, string, string]>([
    ["malformed", '{"a": "b"}\n{"a": }\n', "Reading the calibration text a.jsonl: line 2 is no valid JSON ("],
    ["a list", '{"a": "b"}\n\n["a"]', "line 3 is a list. Each line has to be one JSON object."],
    ["a number", "3", "line 1 is a number"],
    ["null", "null", "line 1 is null"],
    ["empty", "\n", "the file is empty"],
    ["without text", '{"a": 1}\n{"b": null}', "no line has a field that holds text"],
  ])("that are %s are refused", (_, content, sentence) => expect(() => jsonLines("a.jsonl", content)).toThrow(sentence));
});

describe("a file", () => {
  test("is read by its name", () => {
    expect(parseTextFile("a.TXT", "x\ny").fields).toEqual([{ name: "", texts: ["x", "y"], without: 0 }]);
    expect(parseTextFile("a.jsonl", '{"text": "x"}').fields[0]!.name).toBe("text");
    expect(() => parseTextFile("a.csv", "x")).toThrow("it is neither a .txt nor a .jsonl file");
  });

  test("has a field chosen by name", () => {
    const file = parseTextFile("a.jsonl", '{"text": "x", "answer": "y"}');
    expect(fieldOf(file, undefined).name).toBe("text");
    expect(fieldOf(file, "answer").texts).toEqual(["y"]);
    expect(() => fieldOf(file, "reply")).toThrow('it has no text in a field "reply". There is text in text, answer.');
    expect(() => fieldOf(parseTextFile("a.txt", "x"), "text")).toThrow("It is plain text and has no fields.");
  });

  test("has to be UTF-8 and of a size that is read", () => {
    expect(decodeText("a.txt", new Uint8Array([0xef, 0xbb, 0xbf, 0x61]))).toBe("a");
    expect(() => decodeText("a.txt", new Uint8Array([0xff, 0xfe, 0x61]))).toThrow("the file is no valid UTF-8 text");
    expect(() => checkTextSize("a.txt", MAX_TEXT_FILE_BYTES)).not.toThrow();
    expect(() => checkTextSize("a.txt", MAX_TEXT_FILE_BYTES + 1)).toThrow("at most 64 MB are read");
  });
});

describe("texts for a recipe", () => {
  const choice = { samples: 3, maxTokens: 64, seed: 1 };
  test("are those that are drawn", () => {
    const all = ["a", "b", "c", "d", "e"];
    const given = givenCalibration("a.txt", all, choice);
    expect(given).toMatchObject({ source: "given", name: "a.txt", samples: 3, maxTokens: 64, seed: 1 });
    expect(given.texts).toHaveLength(3);
    expect(new Set(given.texts).size).toBe(3);
    expect(givenCalibration("a.txt", all, { ...choice, seed: 2 }).texts).not.toEqual(given.texts);
    expect(givenCalibration("a.txt", all, { ...choice, samples: 9 }).texts!.sort()).toEqual(all);
  });

  test("are refused above what a recipe carries, counted in UTF-8", () => {
    const half = "é".repeat(MAX_CALIBRATION_BYTES / 4);
    expect(givenCalibration("a.txt", [half, half], choice).texts).toHaveLength(2);
    expect(() => givenCalibration("a.txt", [half, half, "x"], choice)).toThrow('Reading the calibration text "a.txt": the 3 texts drawn from it have 2 MB, and a recipe carries at most 2 MB. Take fewer samples, or give shorter texts.');
    expect(() => givenCalibration("a.txt", [], choice)).toThrow("holds no text");
  });

  test("are needed by a method, by a choice of it, or by a later stage, and are the built-in ones then", () => {
    const recipe = { params: {} } as Recipe;
    const [plain, texts] = [{ needs: {} }, { needs: { calibration: true } }];
    const after = { ...recipe, then: [{ method: "aim", params: {} }] };
    const told = { ...recipe, params: { tokens: "calibration" } };
    expect(needsCalibration(recipe, plain)).toBe(false);
    expect(withCalibration(recipe, plain)).toBe(recipe);
    for (const [r, method] of [[recipe, texts], [after, plain], [told, plain]] as const) {
      expect(needsCalibration(r, method)).toBe(true);
      expect(withCalibration(r, method).calibration).toEqual(DEFAULT_CALIBRATION);
    }
    expect(needsCalibration({ ...told, tokens: [[1, 2]] }, texts)).toBe(false);
    expect(needsCalibration({ ...after, tokens: [[1, 2]] }, plain)).toBe(true);
    const own = { ...after, calibration: { ...DEFAULT_CALIBRATION, seed: 7 } };
    expect(withCalibration(own, plain)).toBe(own);
  });
});
