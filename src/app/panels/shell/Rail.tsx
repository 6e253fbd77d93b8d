import { frontOptions } from "../../state/runs";
import { useShallow, useStudio } from "../../state/useStudio";
import { bytes, percent, alpha, shortCount, shortHash } from "../../ui/format";
import { Role } from "../../ui/marks";
import { CheckpointCard } from "./CheckpointCard";

/** The two rivers: base and fine-tuned cards flow into what is being made. */
export function Rail() {
  const [baseId, modelIds] = useStudio(useShallow((s) => [s.baseId, s.modelIds] as const));
  return (
    <aside className="rail" aria-label="Checkpoints">
      <div className="rivers">
        <CheckpointCard of="base" id={baseId} />
        {modelIds.length === 0 ? <CheckpointCard of="tuned" id={undefined} /> : modelIds.map((id) => <CheckpointCard key={id} of="tuned" id={id} />)}
        <MergedCard />
      </div>
      <div className="grow" />
      <StorageLine />
    </aside>
  );
}

/** Dashed until the file exists. */
export function MergedCard() {
  const recipe = useStudio((s) => s.recipe);
  const method = useStudio((s) => s.methods.find((m) => m.id === s.recipe?.method));
  const posts = useStudio((s) => s.postprocesses.posts);
  const plan = useStudio((s) => s.exportPlan);
  const made = useStudio((s) => s.exportReport);
  const range = useStudio(useShallow((s) => alphaRange(s.shape?.experts[s.expert]?.layers.map((row) => row.alpha) ?? [])));
  const step = useStudio((s) => s.step);
  const dtype = useStudio((s) => (s.recipe?.output.dtype === "base" ? s.models.find((m) => m.id === s.baseId)?.facts.dtypes[0]?.dtype : s.recipe?.output.dtype));
  const shaped = method && recipe && (step === "shape" || step === "try" || step === "save");
  const label = method && [method.label, ...(recipe?.then ?? []).map(({ method: id }) => posts.find((p) => p.id === id)?.label ?? id)].join(", then ");
  const front = shaped ? frontOptions(recipe, [method]).find((option) => option.numeric) : undefined;
  return (
    <article className={made ? "cp out made" : "cp out"}>
      <svg className="join" viewBox="0 0 20 30" aria-hidden="true"><path className="w1" d="M1 0C1 12 5 16 13 16" /><path className="w2" d="M9 0C9 10 10 16 13 16" /><path className="w3" d="M13 16H20" /></svg>
      <Role of="merged" />
      {!shaped && <p className="tiny muted">Nothing yet. Shape decides how much of the fine-tuned change each layer takes.</p>}
      {shaped && (
        <>
          <p className="name">{made ? made.name : label}</p>
          <dl className="facts">
            {made && <><dt>method</dt><dd>{label}</dd></>}
            {front && <><dt>{front.name}</dt><dd>{front.text}</dd></>}
            <dt>α</dt><dd>{range.length === 0 ? "–" : range[0] === range[1] ? alpha(range[0]) : `${alpha(range[0])}–${alpha(range[1])}`}</dd>
            <dt>parameters</dt><dd>{shortCount(plan?.parameters)}</dd>
            <dt>{made ? "size" : "forecast"}</dt><dd>{made ? bytes(made.totalBytes) : plan ? `${bytes(plan.totalBytes)} ${dtype ?? ""}` : "–"}</dd>
            <dt>recipe</dt><dd>{shortHash(made?.recipeHash ?? plan?.recipeHash)}</dd>
          </dl>
        </>
      )}
    </article>
  );
}

function alphaRange(values: (number | undefined)[]): [number, number] | [] {
  const known = values.filter((v) => v !== undefined);
  return known.length === 0 ? [] : [Math.min(...known), Math.max(...known)];
}

function StorageLine() {
  const storage = useStudio((s) => s.storage);
  const openDrawer = useStudio((s) => s.openDrawer);
  if (!storage) return null;
  const { usedBytes, freeBytes } = storage;
  const text = `${bytes(usedBytes)} stored${freeBytes === undefined ? "" : ` · ${bytes(freeBytes)} free`}`;
  return (
    <button type="button" className="storage-line" onClick={() => openDrawer("storage")}>
      <span className="tiny muted">{text}</span>
      {freeBytes !== undefined && <span className="meter" aria-hidden="true"><i className="used" style={{ width: percent(usedBytes / (usedBytes + freeBytes || 1), 1) }} /></span>}
    </button>
  );
}
