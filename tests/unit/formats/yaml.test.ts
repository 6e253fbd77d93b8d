import { describe, expect, test } from "vitest";
import { parseYaml, writeYaml, YamlSyntaxError, type YamlNode } from "../../../src/formats/yaml";

function plain(node: YamlNode): unknown {
  if (node.kind === "map") return Object.fromEntries(node.entries.map((e) => [e.key, plain(e.value)]));
  return node.kind === "list" ? node.items.map(plain) : node.value;
}

describe("parseYaml", () => {
  test("knows where every key and value begins", () => {
    const text = "a: 1\nlist:\n  - {x: yes}\n  - [2, 'three']\n";
    const found: [string, string][] = [];
    const walk = (node: YamlNode): void => {
      if (node.kind === "map") for (const { key, keyAt, value } of node.entries) {
        found.push([key, text.slice(keyAt, keyAt + key.length)]);
        walk(value);
      } else if (node.kind === "list") node.items.forEach(walk);
      else found.push([node.text, text.slice(node.at).replace(/^'/, "").slice(0, node.text.length)]);
    };
    walk(parseYaml(text));
    expect(found).toHaveLength(7);
    for (const [want, at] of found) expect(at).toBe(want);
  });
  test.each([
    ["yes", true], ["off", false], ["~", null], ["", null], ["1e-5", 1e-5], [".5", 0.5], ["0o17", "0o17"], ["'1'", "1"], ["2024-01-01", "2024-01-01"], ["a#b", "a#b"],
  ])("reads %j as YAML 1.1 does", (text, value) => {
    expect(plain(parseYaml(`k: ${text}`))).toEqual({ k: value });
  });
  test("follows aliases and merge keys; what the map says itself comes first", () => {
    expect(plain(parseYaml("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: *x\nd: {<<: [*x, {r: 4}]}"))).toEqual({ a: { p: 1, q: 2 }, b: { q: 3, p: 1 }, c: { p: 1, q: 2 }, d: { p: 1, q: 2, r: 4 } });
  });
  test.each([
    ["a: 1\na: 2\n", /unique/, 5],
    ["a: [1, 2\n", /flow|end|\]/i, 9],
    ["a: 1\n---\nb: 2\n", /2 documents/, 9],
    ["? [x]\n: 1\n", /expected a word/, 2],
    ["a: &x [*x]\n", /aliases/, 7],
    [`a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [${"*a,".repeat(99)}*a]\nc: &c [${"*b,".repeat(99)}*b]\nd: [*c,*c]\n`, /larger than settings/, undefined],
    ["", /nothing in it/, 0],
  ])("refuses %j", (text, reason, at) => {
    let error: unknown;
    try {
      parseYaml(text);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(YamlSyntaxError);
    expect((error as YamlSyntaxError).reason).toMatch(reason);
    if (at !== undefined) expect((error as YamlSyntaxError).at).toBe(at);
  });
});

test("what is written reads back the same, numbers as PyYAML takes them", () => {
  const value = { word: "plain", "odd key:": "yes", list: [1, -0.5, 1e-7, 2e21], nested: [{ filter: "self_attn", value: [0, 1] }, { value: 0.25, deep: { a: "# no comment" } }], flag: false, text: "a: b\n'c'", empty: "", names: ["x", "1.0"] };
  const text = writeYaml({ ...value, gone: undefined });
  expect(plain(parseYaml(text))).toEqual(value);
  expect(text).toContain("[1, -0.5, 1.0e-7, 2.0e+21]");
  expect(text).not.toContain("gone");
});
