import { expect, test } from "vitest";
import { parseVarying, takeVarying } from "../../../src/cli/varying";
import { tinyRecipe } from "../../support/recipes";

const two = () => ({ ...tinyRecipe({ method: "della" }), models: [{ name: "a" }, { name: "b" }] });

test("weights, settings and patterns go where they belong", () => {
  const recipe = two();
  takeVarying(recipe, { weight: ["0.5", "[0,1]"], vary: ["density=[0.1,0.5,0.9]", '2:density=[{"filter":"mlp","value":0.3},{"value":[0,1]}]', "lambda=0.7", "1:epsilon=0.1", "2:epsilon=0.2"], include: ["*mlp*", "*attn*"], exclude: ["*.0.*"] });
  expect(recipe).toEqual({
    ...two(),
    models: [{ name: "a", weight: 0.5, params: { epsilon: 0.1 } }, { name: "b", weight: [0, 1], params: { density: [{ filter: "mlp", value: 0.3 }, { value: [0, 1] }], epsilon: 0.2 } }],
    vary: { density: [0.1, 0.5, 0.9], lambda: 0.7 },
    tensors: { include: ["*mlp*", "*attn*"], exclude: ["*.0.*"] },
  });
});

test("without the flags a recipe stays as it is", () => {
  const recipe = two();
  takeVarying(recipe, {});
  expect(recipe).toEqual(two());
});

test.each(["", "a", "[]", "[1,]", '["1"]', "{}", '[{"value":"1"}]', '[{"filter":"mlp"}]', '[{"filter":"","value":1}]', '[{"value":1,"if":2}]', '[{"value":[]}]', "[1,{\"value\":2}]", "1e999", "true"])("%s is no setting", (text) => {
  expect(() => parseVarying(text, `--weight ${text}`)).toThrow(expect.objectContaining({ code: "bad-request", message: expect.stringContaining(`--weight ${text}: expected a number, a list such as [0.1,0.9]`) as string }));
});

test.each([
  [{ weight: ["1", "1", "1"] }, "--weight 1: at most one for each --model, of which there are 2"],
  [{ vary: ["density"] }, "--vary density: expected name=numbers"],
  [{ vary: ["3:density=0.1"] }, "--vary 3:density=0.1: there is no --model 3; there are 2, counted from 1"],
  [{ vary: ["density=many"] }, "--vary density=many: expected a number, a list"],
])("%j is refused", (flags, sentence) => {
  expect(() => takeVarying(two(), flags as unknown as Record<string, string[]>)).toThrow(expect.objectContaining({ code: "bad-request", message: expect.stringContaining(sentence) as string }));
});
