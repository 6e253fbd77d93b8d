import { expect, test } from "vitest";
import { takeChoices } from "../../../src/cli/choices";
import { tinyRecipe } from "../../support/recipes";

const given = () => tinyRecipe().reconciliation;

test("choices leave the settings, rows of single ids are joined over several flags", () => {
  const reconciliation = given();
  expect(takeChoices(reconciliation, { r: 0.2, vocabulary: "common", stopIds: "finetuned", tied: "tie-as-base" }, ["151648=finetuned,151649=base", "7=mix"])).toEqual({ r: 0.2 });
  expect(reconciliation).toEqual({ ...given(), vocabulary: "common", stopIds: "finetuned", tied: "tie-as-base", rows: { 7: "mix", 151648: "finetuned", 151649: "base" } });
});

test("without a choice nothing is added", () => {
  const reconciliation = given();
  takeChoices(reconciliation, { vocab: "tokenizer" });
  expect(reconciliation).toEqual(given());
});

test.each([
  [{ vocabulary: "both" }, [], "--set vocabulary=both: expected one of base, finetuned, common."],
  [{ clashRows: 1 }, [], "--set clashRows=1: expected one of mix, base, finetuned."],
  [{}, ["5"], "--rows 5: expected key=value."],
  [{}, ["five=base"], "--rows five=base: expected a token id and one of mix, base, finetuned, such as 151648=finetuned."],
  [{}, ["5=tuned"], "--rows 5=tuned: expected a token id"],
])("%j %j is refused", (settings, rows, sentence) => {
  expect(() => takeChoices(given(), settings, rows)).toThrow(expect.objectContaining({ code: "bad-request", message: expect.stringContaining(sentence) as string }));
});
