import { describe, expect, test } from "vitest";
import * as f from "../../../src/app/ui/format";

describe("numbers on the page", () => {
  test.each([
    [0.5, "0.500"], [0.66249, "0.662"], [undefined, "–"], [NaN, "–"], [Infinity, "–"], [-0.0001, "0.000"], [-0.25, "−0.250"],
  ])("alpha %s is %s", (value, text) => expect(f.alpha(value)).toBe(text));

  test.each([
    [4.1749e-5, "4.17e−5"], [0, "0"], [12345, "1.23e4"], [-2e-7, "−2.00e−7"], [9.999e-3, "1.00e−2"], [undefined, "–"],
  ])("scientific %s is %s", (value, text) => expect(f.scientific(value)).toBe(text));

  test.each([
    [0, "0 B"], [999, "999 B"], [1000, "1.00 kB"], [975_144, "975 kB"], [999_400, "999 kB"], [999_600, "1.00 MB"],
    [3_087_467_144, "3.09 GB"], [15_231_233_024, "15.2 GB"], [undefined, "–"],
  ])("bytes %s is %s", (value, text) => expect(f.bytes(value)).toBe(text));

  test.each([[1_543_714_304, "1.54 B"], [487_392, "487 k"], [12, "12"], [9_995_000, "10.0 M"], [undefined, "–"]])(
    "shortCount %s is %s", (value, text) => expect(f.shortCount(value)).toBe(text));

  test.each([[9999, "9999"], [10_000, "10,000"], [1_777_088_000, "1,777,088,000"], [-20_000, "−20,000"], [undefined, "–"]])(
    "count %s is %s", (value, text) => expect(f.count(value)).toBe(text));
  test("table cells take commas from 1,000 on", () => expect(f.count(4096, true)).toBe("4,096"));

  test.each([[13_000, "0:13"], [59_999, "0:59"], [725_000, "12:05"], [3_729_000, "1:02:09"], [-5, "0:00"], [undefined, "–"]])(
    "clock %s ms is %s", (ms, text) => expect(f.clock(ms)).toBe(text));
  test.each([[40, "0.04 s"], [2990, "2.99 s"], [2999, "0:02"], [9000, "0:09"]])("duration %s is %s", (ms, text) => expect(f.duration(ms)).toBe(text));

  test.each([[134_217_728, "128 MiB"], [16_384, "16 KiB"], [2_147_483_648, "2 GiB"], [undefined, "–"]])(
    "mebibytes %s is %s", (value, text) => expect(f.mebibytes(value)).toBe(text));

  test("a part is told in the unit of the whole", () => {
    expect(f.bytesOf(2_170_000_000, 3_554_214_752)).toEqual(["2.17", "3.55 GB"]);
    expect(f.bytesOf(0, 3_554_214_752)).toEqual(["0.00", "3.55 GB"]);
    expect(f.bytesOf(undefined, 3_554_214_752)[0]).toBe("–");
  });

  test("progress reads 100 only at the end", () => {
    expect(f.progressPercent(0.9999)).toBe(99);
    expect(f.progressPercent(1)).toBe(100);
    expect(f.progressPercent(undefined)).toBe(0);
  });

  test("time left is a range, and unknown before there is one", () => {
    expect(f.timeLeft(undefined)).toEqual({ about: "–", range: "" });
    expect(f.timeLeft([5, 8])).toEqual({ about: "about 6 s", range: "5–8 s" });
    expect(f.timeLeft([150, 240])).toEqual({ about: "about 3 min", range: "3–4 min" });
  });

  test("hashes are their first and last four digits", () => {
    expect(f.shortHash("7f3a00112233c21d")).toBe("7f3a…c21d");
    expect(f.shortHash(undefined)).toBe("–");
  });
  test.each([[0.2, "0.20"], [8, "8"], [true, "on"], ["adaptive", "adaptive"], [1, "1.00"]])("paramValue %s is %s", (value, text) => expect(f.paramValue(value)).toBe(text));
});
