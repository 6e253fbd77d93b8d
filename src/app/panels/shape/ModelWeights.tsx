import { useId } from "react";
import type { NumberSpec } from "../../../core/params";
import type { MethodInfo } from "../../../engine/api";
import type { ModelRef } from "../../../core/recipe";
import { useStudio } from "../../state/useStudio";
import { Line, NumberBox, useNumberBox } from "./ParamField";

const WEIGHT: NumberSpec = { kind: "number", label: "Weight", help: "", effect: "at-once", default: 1, min: -4, max: 4, step: 0.05 };

/** A coefficient for each fine-tuned model, where there are several and the method takes one from the person. */
export function ModelWeights({ method }: { method: MethodInfo }) {
  const models = useStudio((s) => s.recipe?.models);
  if (!models || models.length < 2 || method.needs.fisher) return null;
  return (
    <section className="group" aria-label="Weights of the models">
      <div className="gh">Weight of each model<span className="tiny">no GPU work</span></div>
      {models.map((model, index) => <WeightField key={model.id ?? index} model={model} index={index} />)}
    </section>
  );
}

function WeightField({ model, index }: { model: ModelRef; index: number }) {
  const setModelWeight = useStudio((s) => s.setModelWeight);
  const value = typeof model.weight === "number" ? model.weight : WEIGHT.default;
  const errorId = useId();
  const box = useNumberBox(WEIGHT, value, (v) => setModelWeight(index, v));
  const reset = () => {
    box.settle();
    setModelWeight(index, WEIGHT.default);
  };
  return (
    <Line label={model.name} changed={value !== WEIGHT.default || box.error !== undefined} onReset={reset} error={box.error} errorId={errorId}>
      <NumberBox label={`Weight of ${model.name}`} errorId={errorId} {...box} />
    </Line>
  );
}
