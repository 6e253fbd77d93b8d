import { useId, useMemo } from "react";
import type { MethodInfo } from "../../../engine/api";
import type { ModelRef } from "../../../core/recipe";
import { useStudio } from "../../state/useStudio";
import { Line, NumberBox, useNumberBox } from "./ParamField";
import { WEIGHT } from "./varying";
import { VaryField } from "./VaryField";

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
  const place = useMemo(() => ({ model: index }), [index]);
  return (
    <VaryField label={`Weight of ${model.name}`} spec={WEIGHT} place={place} plain={value}>
      {(button) => (
        <Line label={model.name} changed={value !== WEIGHT.default || box.error !== undefined} onReset={reset} error={box.error} errorId={errorId}>
          <NumberBox label={`Weight of ${model.name}`} errorId={errorId} {...box} />
          {button}
        </Line>
      )}
    </VaryField>
  );
}
