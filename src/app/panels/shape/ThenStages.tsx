import type { ParamValue } from "../../../core/recipe";
import type { StageShape } from "../../../core/shape";
import { useStudio } from "../../state/useStudio";
import { Icon } from "../../ui/icons";
import { Select } from "../../ui/Select";
import { stagesSentence } from "./methodList";
import { ParamField } from "./ParamField";

/** "Tensors keep 0.62 of their change on average, from 0.55 (layer 3) to 0.71 (layer 0)." */
export function keptSentence(stage: StageShape | undefined): string | undefined {
  if (stage?.mean === undefined) return undefined;
  const sorted = [...stage.tensors].sort((a, b) => a.share - b.share);
  const place = ({ layer, name, share }: StageShape["tensors"][number]): string => `${share.toFixed(3)} (${layer === undefined ? name.replace(/\.weight$/, "") : `layer ${layer}`})`;
  return `Tensors keep ${stage.mean.toFixed(3)} of their change on average, from ${place(sorted[0]!)} to ${place(sorted.at(-1)!)}.`;
}

/** What comes after the merge: post-processes in their order, each on the result before it. */
export function ThenStages() {
  const recipe = useStudio((s) => s.recipe);
  const methods = useStudio((s) => s.methods);
  const { posts } = useStudio((s) => s.postprocesses);
  const shares = useStudio((s) => s.shape?.stages);
  const setThen = useStudio((s) => s.setThen);
  const busy = useStudio((s) => s.measuring !== undefined);
  if (!recipe || posts.length === 0) return null;
  const then = recipe.then ?? [];
  const nameOf = (id: string): string => [...methods, ...posts].find((m) => m.id === id)?.label ?? id;
  const change = (at: number, params: Record<string, ParamValue>): void => setThen(then.map((stage, i) => (i === at ? { ...stage, params } : stage)));
  const sentence = stagesSentence(recipe, nameOf);
  return (
    <section className="group" aria-label="After the merge">
      <div className="gh"><Icon name="chevronRight" small />After the merge<span className="tiny">needs calibration text</span></div>
      {sentence && <p className="tiny muted stages-sentence">{sentence}</p>}
      {then.map((stage, at) => {
        const post = posts.find((p) => p.id === stage.method);
        if (!post) return null;
        const kept = keptSentence(shares?.[at]);
        const fields = (advanced: boolean) => Object.entries(post.params).filter(([, spec]) => (spec.advanced ?? false) === advanced).map(([name, spec]) => (
          <ParamField key={name} spec={spec} value={stage.params[name] ?? spec.default} onChange={(value) => change(at, { ...stage.params, [name]: value })} onReset={() => change(at, Object.fromEntries(Object.entries(stage.params).filter(([key]) => key !== name)))} />
        ));
        return (
          <div key={`${at} ${stage.method}`} className="stage stack">
            <div className="row between">
              <b className="small">{at + 1}. {post.label}</b>
              <button type="button" className="btn icon s" aria-label={`Remove ${post.label}`} disabled={busy} onClick={() => setThen(then.filter((_, i) => i !== at))}><Icon name="close" small /></button>
            </div>
            <p className="tiny muted">{post.summary}{kept && ` ${kept}`}</p>
            {fields(false)}
            <details>
              <summary><Icon name="chevronRight" small className="chev" />More of {post.label}</summary>
              <div className="stack more-options">
                {fields(true)}
              </div>
            </details>
          </div>
        );
      })}
      <div className="fieldline">
        <span className="lab">Add a stage</span>
        <Select label="Add a stage after the merge" small value="" disabled={busy} options={[{ value: "", label: "Choose" }, ...posts.map((p) => ({ value: p.id, label: p.label }))]} onChange={(id) => id !== "" && setThen([...then, { method: id, params: {} }])} />
      </div>
    </section>
  );
}
