import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { StudioError } from "../../../src/core/errors";
import { memoryFile } from "../../../src/core/files";
import { readSafetensorsHeader, writeSafetensorsHeader } from "../../../src/formats/safetensors";

const fixtures = new URL("../../fixtures/", import.meta.url);
interface Case { name: string; bytes: string; accept: boolean; error?: string; tensors?: number }
const cases = JSON.parse(readFileSync(new URL("safetensors-cases.json", fixtures), "utf8")) as Case[];

function file(header: string | Uint8Array, data: Uint8Array = new Uint8Array()) {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return memoryFile("x.safetensors", bytes);
}
async function officialError(source: Parameters<typeof readSafetensorsHeader>[0]): Promise<string> {
  try {
    await readSafetensorsHeader(source);
    return "accepted";
  } catch (error) {
    expect(error).toBeInstanceOf(StudioError);
    expect((error as StudioError).code).toBe("bad-file");
    expect((error as StudioError).message).toContain(source.path);
    return String((error as StudioError).details.official);
  }
}
const one = (fields: string) => file(`{"a":{${fields}}}`, new Uint8Array(1));

test("there are 82 cases", () => expect(cases.length).toBe(82));
describe("the official reader's verdicts", () => {
  test.each(cases.map((c) => [c.name, c] as const))("%s", async (name, c) => {
    const source = memoryFile("case.safetensors", new Uint8Array(Buffer.from(c.bytes, "base64")));
    // The one place where we are stricter: the format forbids duplicate names, the official reader keeps the last.
    const expected = name.startsWith("duplicate tensor key") ? "DuplicateTensor" : c.accept ? "accepted" : c.error;
    expect(await officialError(source)).toBe(expected);
    if (expected === "accepted") expect((await readSafetensorsHeader(source)).tensors.length).toBe(c.tensors);
  });
});

// Verdicts of safetensors 0.8.0 on spellings that the 82 cases do not have.
describe("more spellings, as safetensors 0.8.0 decides", () => {
  const fields = '"dtype":"U8","shape":[1],"data_offsets":[0,1]';
  const extra = (x: string) => one(`${fields},"x":${x}`);
  test.each([
    ["a record as a list", file('{"a":["U8",[1],[0,1]]}', new Uint8Array(1))],
    ["dtype as a record", one('"dtype":{"U8":null},"shape":[1],"data_offsets":[0,1]')],
    ["extra field twice", extra('1,"x":2')],
    ["125 levels in an extra field", extra("[".repeat(125) + "]".repeat(125))],
    ["DEL in a name", file('{"a\x7f":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', new Uint8Array(1))],
    ["escaped __metadata__", file('{"__metadata\\u005f_":{"a":"b"}}')],
    ["F4 without elements", file('{"a":{"dtype":"F4","shape":[0],"data_offsets":[0,0]}}')],
  ])("accepts %s", async (_, source) => expect(await officialError(source)).toBe("accepted"));
  test.each([
    ["a list of four", file('{"a":["U8",[1],[0,1],3]}', new Uint8Array(1))],
    ["dtype as a number", one('"dtype":4,"shape":[1],"data_offsets":[0,1]')],
    ["offset -0", one('"dtype":"U8","shape":[1],"data_offsets":[-0,1]')],
    ["offset 01", one('"dtype":"U8","shape":[1],"data_offsets":[0,01]')],
    ["number beyond f64", extra("1e999")],
    ["lone surrogate in an extra field", extra('"\\udc00"')],
    ["control character", extra('"\x01"')],
    ["126 levels in an extra field", extra("[".repeat(126) + "]".repeat(126))],
    ["null in metadata", file('{"__metadata__":{"a":null}}')],
    ["metadata twice, first null", file('{"__metadata__":null,"__metadata__":{"a":"b"}}')],
    ["vertical tab as space", file("{\x0b}")],
    ["1. as a number", extra("1.")],
    ["escape v", file('{"a\\v":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', new Uint8Array(1))],
    ["a bad entry hidden by a later one", file(`{"a":{"dtype":"Q","shape":[1],"data_offsets":[0,1]},"a":{${fields}}}`, new Uint8Array(1))],
  ])("refuses %s", async (_, source) => expect(await officialError(source)).toBe("InvalidHeaderDeserialization"));
  test("overlong UTF-8", async () => expect(await officialError(file(new Uint8Array([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x7d])))).toBe("InvalidHeader"));
  test("largest offset is no overflow", async () => expect(await officialError(one('"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551615]'))).toBe("TensorInvalidInfo"));
});

test("names that are no ordinary keys survive", async () => {
  const { tensors } = await readSafetensorsHeader(file('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"constructor":{"dtype":"U8","shape":[],"data_offsets":[1,2]}}', new Uint8Array(2)));
  expect(tensors.map((t) => [t.name, t.elements])).toEqual([["__proto__", 1], ["constructor", 1]]);
});
test("the sentence names file, tensor, found and expected", async () => {
  await expect(readSafetensorsHeader(file('{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', new Uint8Array(5)))).rejects.toThrow(/Reading x\.safetensors: tensor "w" ends at byte 70 but the file has 67.*incomplete/);
});
test("a read that is cut short by the disk is no crash", async () => {
  const source = { ...memoryFile("y", new Uint8Array(4)), size: 20 };
  expect(await officialError(source)).toBe("HeaderTooSmall");
});

describe("writer", () => {
  const specs = [
    { name: "z.u8", dtype: "U8", shape: [3] },
    { name: "b.f16", dtype: "F16", shape: [1, 2] },
    { name: "c.i64", dtype: "I64", shape: [] },
    { name: "a.f32", dtype: "F32", shape: [2] },
    { name: "a.bf16", dtype: "BF16", shape: [0, 4] },
    { name: "10", dtype: "F32", shape: [1] },
  ] as const;
  test("official order, padding and ranges", () => {
    const { bytes, order } = writeSafetensorsHeader(specs, { format: "pt" });
    expect(order.map((t) => t.name)).toEqual(["c.i64", "10", "a.f32", "a.bf16", "b.f16", "z.u8"]);
    expect(bytes.length % 8).toBe(0);
    expect(order[0]!.begin).toBe(bytes.length);
    expect(order.at(-1)!.end).toBe(bytes.length + 8 + 4 + 8 + 0 + 4 + 3);
    expect(new TextDecoder().decode(bytes.subarray(8))).toMatch(/^\{"__metadata__":\{"format":"pt"\},"c\.i64":\{"dtype":"I64","shape":\[\],"data_offsets":\[0,8\]\},"10":.*\} *$/);
  });
  test("what is written reads back the same", async () => {
    const { bytes, order } = writeSafetensorsHeader(specs, { format: "pt", note: "é\u0000" });
    const whole = new Uint8Array(order.at(-1)!.end);
    whole.set(bytes);
    const got = await readSafetensorsHeader(memoryFile("", whole));
    expect(got.tensors).toEqual(order);
    expect(got.metadata).toEqual({ format: "pt", note: "é\u0000" });
    expect(got.dataStart).toBe(bytes.length);
  });
  test("names sort by UTF-8 bytes, not by UTF-16 units", () => {
    const { order } = writeSafetensorsHeader([{ name: "\u{1f600}", dtype: "U8", shape: [1] }, { name: "\uff5c", dtype: "U8", shape: [1] }, { name: "a", dtype: "U8", shape: [1] }], {});
    expect(order.map((t) => t.name)).toEqual(["a", "\uff5c", "\u{1f600}"]);
  });
  test("the bytes of safetensors 0.8.0 for the same tensors", () => {
    const official = Buffer.from(
      "eAIAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJwdCJ9LCJjLmk2NCI6eyJkdHlwZSI6Ikk2NCIsInNoYXBlIjpbXSwiZGF0YV9vZm" +
      "ZzZXRzIjpbMCw4XX0sImEuZjMyIjp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsyXSwiZGF0YV9vZmZzZXRzIjpbOCwxNl19LCJuXG5cdTAwMDFc" +
      "Ii8iOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzFdLCJkYXRhX29mZnNldHMiOlsxNiwyMF19LCLvvZx/4oCoIjp7ImR0eXBlIjoiRjMyIiwic2" +
      "hhcGUiOlsxXSwiZGF0YV9vZmZzZXRzIjpbMjAsMjRdfSwi8J+YgCI6eyJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMV0sImRhdGFfb2Zmc2V0cyI6" +
      "WzI0LDI4XX0sImkzMiI6eyJkdHlwZSI6IkkzMiIsInNoYXBlIjpbMV0sImRhdGFfb2Zmc2V0cyI6WzI4LDMyXX0sImEuYmYxNiI6eyJkdHlwZS" +
      "I6IkJGMTYiLCJzaGFwZSI6WzAsNF0sImRhdGFfb2Zmc2V0cyI6WzMyLDMyXX0sImIuZjE2Ijp7ImR0eXBlIjoiRjE2Iiwic2hhcGUiOlsxLDJd" +
      "LCJkYXRhX29mZnNldHMiOlszMiwzNl19LCJlOCI6eyJkdHlwZSI6IkY4X0U0TTMiLCJzaGFwZSI6WzFdLCJkYXRhX29mZnNldHMiOlszNiwzN1" +
      "19LCJ6LnU4Ijp7ImR0eXBlIjoiVTgiLCJzaGFwZSI6WzNdLCJkYXRhX29mZnNldHMiOlszNyw0MF19fSAgIA==",
      "base64",
    );
    const { bytes } = writeSafetensorsHeader([
      { name: "z.u8", dtype: "U8", shape: [3] }, { name: "b.f16", dtype: "F16", shape: [1, 2] }, { name: "c.i64", dtype: "I64", shape: [] },
      { name: "a.f32", dtype: "F32", shape: [2] }, { name: "a.bf16", dtype: "BF16", shape: [0, 4] }, { name: "\u{1f600}", dtype: "F32", shape: [1] },
      { name: "\uff5c\x7f\u2028", dtype: "F32", shape: [1] }, { name: 'n\n\x01"/', dtype: "F32", shape: [1] }, { name: "e8", dtype: "F8_E4M3", shape: [1] },
      { name: "i32", dtype: "I32", shape: [1] },
    ], { format: "pt" });
    expect(Buffer.from(bytes).toString()).toBe(official.toString());
  });
});
