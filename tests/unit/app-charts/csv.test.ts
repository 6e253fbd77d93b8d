import { describe, expect, test } from "vitest";
import { layerColumns, TENSOR_COLUMNS } from "../../../src/app/charts/columns";
import { toCsv, type Column } from "../../../src/app/charts/csv";
import type { LayerRow, TensorRow } from "../../../src/engine/api";

const row = (layer: number, values: Partial<LayerRow> = {}): LayerRow => ({ layer, alpha: undefined, gateAlpha: undefined, fisher: undefined, delta2: undefined, s: undefined, kept: undefined, delta2ShareKept: undefined, ...values });

describe("toCsv", () => {
  test("writes the drawn values in full, with an ASCII minus and CRLF", () => {
    const text = toCsv(layerColumns(["alpha", "fisher", "s"]), [row(0, { alpha: 0.5, fisher: 4.0712345e-3, s: -13.7512 }), row(1, { alpha: 0.7310585786300049 })]);
    expect(text).toBe("layer,alpha,fisher,s\r\n0,0.5,0.0040712345,-13.7512\r\n1,0.7310585786300049,,\r\n");
    // eslint-disable-next-line no-control-regex
    expect(text).toMatch(/^[\x00-\x7f]*$/);
  });
  test("numbers read back as the same numbers", () => {
    const values = [1 / 3, 3.09e-6, -20.70123456789, 1e-300, 0];
    const text = toCsv(layerColumns(["fisher"]), values.map((fisher, i) => row(i, { fisher })));
    expect(text.trim().split("\r\n").slice(1).map((line) => Number(line.split(",")[1]))).toEqual(values);
  });
  test("never writes NaN or infinity", () => {
    expect(toCsv(layerColumns(["fisher"]), [row(0, { fisher: NaN }), row(1, { fisher: Infinity })])).toBe("layer,fisher\r\n0,\r\n1,\r\n");
  });
  test("quotes commas, quotes and line breaks", () => {
    const columns: Column<string>[] = [{ id: 'a "b"', label: "", value: (r) => r, show: (r) => r }];
    expect(toCsv(columns, ["x,y", 'say "hi"', "two\nlines", "plain"])).toBe('"a ""b"""\r\n"x,y"\r\n"say ""hi"""\r\n"two\nlines"\r\nplain\r\n');
  });
});

describe("columns", () => {
  const shown = (r: LayerRow) => layerColumns(["alpha", "gateAlpha", "fisher", "delta2", "s", "kept", "delta2ShareKept"]).map((c) => c.show(r));
  test("write each quantity with its own digits", () => {
    expect(shown(row(14, { alpha: 0.66231, gateAlpha: 0.4636, fisher: 4.1673e-5, delta2: 2.36e-4, s: -18.436, kept: 0.20021, delta2ShareKept: 0.404 }))).toEqual(["14", "0.662", "0.464", "4.17e−5", "2.36e−4", "−18.44", "20.02%", "40%"]);
  });
  test("show a dash for what is not known, never 0 or NaN", () => {
    expect(shown(row(3)).slice(1)).toEqual(Array(7).fill("–"));
    expect(shown(row(3, { alpha: NaN, fisher: 0 }))[1]).toBe("–");
    expect(shown(row(3, { fisher: 0 }))[3]).toBe("0");
  });
  test("mark a calibrated tensor", () => {
    const tensor: TensorRow = { name: "lm_head.weight", role: "lm_head", layer: undefined, elements: 12345678, fisherMean: undefined, delta2Mean: 1e-4, threshold: undefined, kept: undefined, delta2ShareKept: undefined, alpha: 0.65, rho: 1.0712, calibrated: true };
    const cells = Object.fromEntries(TENSOR_COLUMNS.map((c) => [c.id, c.show(tensor)]));
    expect(cells).toMatchObject({ layer: "–", elements: "12,345,678", rho: "1.071 ÷", kept: "–" });
  });
});
