import { expect, test } from "vitest";
import { parseArgs, parseSettings } from "../../../src/cli/args";

const SPECS = { base: { value: true }, model: { value: true, repeat: true }, quiet: {} };

test("values after a space or an equals sign, repeats, and flags", () => {
  expect(parseArgs(["--base", "a b", "--model=x=y", "--model", "z", "--quiet"], SPECS)).toEqual({ base: ["a b"], model: ["x=y", "z"], quiet: ["true"] });
  expect(parseArgs([], SPECS)).toEqual({});
  expect(parseArgs(["--base", "-5"], SPECS), "a negative number is a value").toEqual({ base: ["-5"] });
});

test.each([
  [["--basis", "x"], /Unknown argument "--basis".*--base, --model, --quiet/],
  [["base"], /Unknown argument "base"/],
  [["--toString"], /Unknown argument "--toString"/],
  [["--base"], /--base needs a value/],
  [["--base", "--quiet"], /--base needs a value/],
  [["--base", "a", "--base", "b"], /--base was given twice/],
  [["--quiet=no"], /--quiet takes no value/],
])("%j is refused", (args, sentence) => {
  expect(() => parseArgs(args, SPECS)).toThrow(expect.objectContaining({ code: "bad-request", message: expect.stringMatching(sentence) as string }));
});

test("settings: numbers, flags and words; only the first equals sign divides", () => {
  expect(parseSettings(["r=0.2", "seed=1e3", "trim1D=true", "keepFisher=false", "outsideT=fixed(0.3)", "name=a=b", "empty="])).toEqual({ r: 0.2, seed: 1000, trim1D: true, keepFisher: false, outsideT: "fixed(0.3)", name: "a=b", empty: "" });
});

test.each(["r", "=1", ""])("the setting %j is refused", (pair) => {
  expect(() => parseSettings([pair])).toThrow(expect.objectContaining({ code: "bad-request", message: expect.stringContaining("expected key=value") as string }));
});
