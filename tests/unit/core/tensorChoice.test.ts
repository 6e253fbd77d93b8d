import { describe, expect, test } from "vitest";
import { choiceText, fitsPattern, idlePatterns, isChosen } from "../../../src/core/tensorChoice";

const names = ["model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "model.layers.0.mlp.up_proj.weight", "model.layers.10.mlp.up_proj.weight", "model.norm.weight", "lm_head.weight"];
const fitting = (pattern: string): string[] => names.filter((name) => fitsPattern(pattern, name));

describe("a pattern", () => {
  test("is a whole name, in which * is any text", () => {
    expect(fitting("lm_head.weight")).toEqual(["lm_head.weight"]);
    expect(fitting("lm_head")).toEqual([]);
    expect(fitting("*mlp*")).toEqual(names.slice(2, 4));
    expect(fitting("model.layers.1*")).toEqual([names[3]]);
    expect(fitting("*.layers.*.weight")).toEqual(names.slice(1, 4));
    expect(fitting("*")).toEqual(names);
    expect(fitsPattern("a*", "a")).toBe(true);
  });

  test("takes every other sign as itself", () => {
    expect(fitsPattern("model.norm.weight", "modelXnormXweight")).toBe(false);
    for (const sign of "\\^$.+?()[]{}|/-") expect(fitsPattern(`a${sign}*`, `a${sign}b`), sign).toBe(true);
    for (const sign of "\\^$.+?()[]{}|") expect(fitsPattern(`a${sign}b`, "ab"), sign).toBe(false);
  });
});

describe("a choice", () => {
  test("without patterns is every tensor", () => expect(names.filter((n) => isChosen({}, n))).toEqual(names));
  test("takes what fits include and not exclude", () => {
    expect(names.filter((n) => isChosen({ include: ["*layers*"], exclude: ["*.10.*"] }, n))).toEqual(names.slice(1, 3));
    expect(names.filter((n) => isChosen({ exclude: ["lm_head*", "*embed*"] }, n))).toEqual(names.slice(1, 5));
    expect(names.filter((n) => isChosen({ include: ["*mlp*", "*norm*"] }, n))).toEqual(names.slice(2, 5));
  });
  test("tells the patterns that fit nothing", () => {
    expect(idlePatterns({ include: ["*mlp*", "visual.*"], exclude: ["lm_head"] }, names)).toEqual([{ key: "include", pattern: "visual.*" }, { key: "exclude", pattern: "lm_head" }]);
  });
  test("in words", () => expect(choiceText({ include: ["*mlp*"], exclude: ["*.0.*", "*norm*"] })).toBe("include *mlp*; exclude *.0.*, *norm*"));
});
