import { expect, test } from "vitest";
import { METHODS } from "../../../src/merge/methods";
import { FAMILIES, METHOD_NOTES, POST_NOTES } from "../../../src/merge/methods/notes";
import { COMBOS, postInfo, postOf, POSTS } from "../../../src/merge/post";
import { resolveParams } from "../../../src/merge/methods";

test("the methods page has a paragraph for every method and nothing else", () => {
  expect(Object.keys(METHOD_NOTES).sort()).toEqual(METHODS.map((m) => m.id).sort());
  expect(Object.keys(POST_NOTES).sort()).toEqual(POSTS.map((p) => p.id).sort());
  for (const note of Object.values(METHOD_NOTES)) expect(FAMILIES).toContain(note.family);
});

test("every setting of every method has a sentence", () => {
  for (const method of [...METHODS, ...POSTS]) for (const [name, spec] of Object.entries(method.params)) expect(spec.help.length, `${method.id} ${name}`).toBeGreaterThan(5);
});

test("pairs that papers name are made of methods and stages that exist, with settings they have", () => {
  for (const combo of COMBOS) {
    const method = METHODS.find((m) => m.id === combo.method)!;
    expect(resolveParams(method, combo.params)).toMatchObject(combo.params);
    for (const stage of combo.then) expect(resolveParams(postOf(stage.method), stage.params)).toBeDefined();
  }
  expect(POSTS.map(postInfo).every((p) => p.note.about.length > 0)).toBe(true);
  expect(() => postOf("arm")).toThrow(/aim, acm/);
});
