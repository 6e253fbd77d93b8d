import { DEFAULT_CALIBRATION, givenCalibration } from "../../core/calibration";
import { checkTextSize, decodeText, fieldOf, parseTextFile, plainField, textName, type TextFile } from "../../core/calibrationText";
import { StudioError, toStudioError } from "../../core/errors";
import type { Calibration } from "../../core/recipe";
import type { Slice } from "./env";
import type { CalibrationSlice } from "./types";

const CONTEXT = "Reading calibration text";

/** Calibration text: where it is from, what is drawn of it, and its numbers in the base model's tokens. */
export const createCalibration: Slice<CalibrationSlice> = (set, get, env) => {
  let asking = false;

  /** Draws from texts that are here; where they cannot be carried, the recipe stays as it was. */
  const draw = (file: TextFile, field: string, choice: Pick<Calibration, "samples" | "maxTokens" | "seed">, name: string): void => {
    try {
      const { texts } = fieldOf(file, field);
      get().setCalibration(givenCalibration(textName(file, field), texts, choice), name);
    } catch (error) {
      get().fail(error, CONTEXT);
    }
  };
  const current = (): Calibration => get().recipe?.calibration ?? DEFAULT_CALIBRATION;

  const give = (file: TextFile): void => {
    const field = file.fields[0]!.name;
    set({ textFile: file, textField: field });
    draw(file, field, current(), "calibration text");
  };

  return {
    textFile: undefined,
    textField: "",
    calibrationFacts: undefined,
    giveTextFile: async (file) => {
      try {
        if (!get().recipe) throw new StudioError("bad-request", `Reading ${file.name}: calibration text belongs to a merge, and no two models are chosen yet. Load a base and a fine-tuned model first.`, { title: "No merge to use this text for", where: file.name, todo: "Load a base and a fine-tuned model first." });
        checkTextSize(file.name, file.size);
        give(parseTextFile(file.name, decodeText(file.name, new Uint8Array(await file.arrayBuffer()))));
      } catch (error) {
        get().fail(error, CONTEXT);
      }
    },
    giveText: (content) => {
      try {
        give({ name: "Pasted text", fields: [plainField("that was pasted", content)] });
      } catch (error) {
        get().fail(error, CONTEXT);
      }
    },
    chooseTextField: (field) => {
      const { textFile } = get();
      if (!textFile) return;
      set({ textField: field });
      draw(textFile, field, current(), "calibration field");
    },
    takeBuiltinText: () => {
      const { samples, maxTokens, seed } = current();
      get().setCalibration({ ...DEFAULT_CALIBRATION, samples, maxTokens, seed }, "calibration text");
    },
    setDraw: (part) => {
      const { textFile, textField } = get();
      const now = current();
      const name = `calibration ${Object.keys(part).join()}`;
      // Another draw needs the texts that stayed behind; of a restored recipe only the drawn ones are here.
      if (now.source === "given" && textFile && now.name === textName(textFile, textField)) draw(textFile, textField, { ...now, ...part }, name);
      else get().setCalibration({ ...now, ...part }, name);
    },
    refreshCalibration: async () => {
      if (asking) return;
      asking = true;
      try {
        for (;;) {
          const { recipe } = get();
          const calibration = recipe?.calibration;
          const known = get().calibrationFacts;
          if (!recipe || !calibration || (known?.calibration === calibration && known.baseId === recipe.base.id)) break;
          const answer = await env.engine.calibration(recipe).then((value) => ({ value }), (error: unknown) => ({ refused: toStudioError(error).message }));
          set({ calibrationFacts: { calibration, baseId: recipe.base.id, ...answer } });
        }
      } finally {
        asking = false;
      }
    },
  };
};
