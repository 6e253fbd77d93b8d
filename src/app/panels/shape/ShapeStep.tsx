import { useEffect, useMemo, useState } from "react";
import type { Recipe } from "../../../core/recipe";
import type { MethodInfo } from "../../../engine/api";
import "../../styles/shape.css";
import { saveBlob } from "../../charts/csv";
import { CursorProvider } from "../../charts/cursor";
import { Readout } from "../../charts/Readout";
import { useShallow, useStudio } from "../../state/useStudio";
import { bytes, count, UNKNOWN } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Banner } from "../../ui/marks";
import { Select } from "../../ui/Select";
import { Shell } from "../../ui/Shell";
import { KindView } from "./KindView";
import { AlphaPanel, SmallCharts } from "./LayerCharts";
import { MethodSide } from "./MethodSide";
import { Segment } from "./ParamField";
import { ProgressBlock } from "./ProgressBlock";
import { ShapeActions } from "./ShapeActions";
import { VaryPanel } from "./VaryPanel";
import { emptyRows, passFacts, passSentence, quantitiesOf, shapeState, type PassFacts, type ShapeState } from "./shapeModel";

const MODES = [{ value: "layer", label: "By layer" }, { value: "kind", label: "By tensor kind" }] as const;

/** How much each layer takes: measure, read, adjust. */
export default function ShapeStep() {
  const { recipe, methods, models, shape, measuring, expert: chosen, layer, chartMode, measured } = useStudio(
    useShallow((s) => ({ recipe: s.recipe, methods: s.methods, models: s.models, shape: s.shape, measuring: s.measuring, expert: s.expert, layer: s.layer, chartMode: s.chartMode, measured: s.measured })),
  );
  const setLayer = useStudio((s) => s.setLayer);
  const setMode = useStudio((s) => s.setChartMode);
  const method = methods.find((m) => m.id === recipe?.method);
  const expert = shape?.experts[Math.min(chosen, (shape?.experts.length ?? 1) - 1)];
  const layers = models.find((m) => m.id === recipe?.base.id)?.facts.layers ?? 0;
  const rows = useMemo(() => (expert && expert.layers.length > 0 ? expert.layers : emptyRows(layers)), [expert, layers]);
  const state = shapeState({ recipe, shape, measuring, everMeasured: measured !== undefined });
  const quantities = useMemo(() => quantitiesOf(method, rows), [method, rows]);
  const facts = recipe && passFacts(recipe, method, models);
  const someKnown = rows.some((r) => r.fisher !== undefined || r.delta2 !== undefined || r.alpha !== undefined);
  // Charts stand from the start; before and during a Fisher pass only what fills block by block is drawn.
  const filling = state === "running" || (state !== "done" && !someKnown);
  const kind = chartMode === "kind" && !filling && expert !== undefined;
  const name = fileStem(recipe?.models[Math.min(chosen, recipe.models.length - 1)]?.name, method?.id);
  const title = state === "running" ? (method?.needs.fisher ? "Measuring which layers matter" : "Measuring the change") : filling && method?.needs.fisher ? "Measure which layers matter" : "How much each layer takes";
  const intro = filling && facts ? passSentence(method, facts, recipe.tokens !== undefined) : shape?.sentence || method?.summary;

  return (
    <Shell
      title={title}
      intro={intro}
      sideLabel="Method"
      side={<MethodSide />}
      peek
      aside={
        <div className="row wrap">
          {!filling && <span className="only-wide"><Segment label="Charts" value={chartMode} options={MODES} onChange={(v) => setMode(v as "layer" | "kind")} /></span>}
          <ExpertSelect />
        </div>
      }
      actions={<ShapeActions state={state} method={method} facts={facts} layers={layers} quantities={quantities} deltaKnown={rows.some((r) => r.delta2 !== undefined)} />}
    >
      <CursorProvider layer={layer} layers={rows.length} setLayer={setLayer}>
        <StateBanner state={state} known={someKnown} />
        {state === "running" ? <Running fisher={method?.needs.fisher ?? false} /> : filling && facts && state !== "empty" ? <BeforePass facts={facts} layers={layers} fisher={method?.needs.fisher ?? false} /> : null}
        {!filling && rows.length > 0 && <Readout rows={rows} quantities={quantities} />}
        {rows.length === 0 && state !== "empty" && <div className="note-line"><Icon name="info" /><span>The layers of this architecture are not known to the page, so its tensors are listed one by one.</span></div>}
        {rows.length > 0 && (!filling || rows.some((r) => r.alpha !== undefined)) && <AlphaPanel rows={rows} name={name} expert={expert} quantities={quantities} height={kind ? 166 : 200} />}
        {recipe && method && rows.length > 0 && state !== "running" && <VaryPanel recipe={recipe} method={method} tensors={expert?.tensors} layers={rows.length} name={name} />}
        {rows.length > 0 && !kind && <SmallCharts rows={rows} name={name} expert={expert} quantities={quantities} pending={filling} trimLabel={`by ${optionLabel(method, recipe, "trimScore") ?? "size of the change"}`} signal={optionLabel(method, recipe, "scoreMode")} height={filling ? 196 : 124} />}
        {expert && (kind || (rows.length === 0 && !filling)) && <KindView expert={expert} layers={rows.length} name={name} />}
        {filling && method?.needs.fisher && (
          <div className="note-line">
            <Icon name="info" />
            <span>α compares every layer with the highest score, so it appears when layer 0 is done. You can already change the options marked <b>shown at once</b>.</span>
          </div>
        )}
        {!filling && <div className="only-narrow narrow-mode"><Segment label="Charts" value={chartMode} options={MODES} onChange={(v) => setMode(v as "layer" | "kind")} /></div>}
        <Notes filling={filling} />
      </CursorProvider>
    </Shell>
  );
}

/** The words of the choice in force, as the form shows them. */
function optionLabel(method: MethodInfo | undefined, recipe: Recipe | undefined, name: string): string | undefined {
  const spec = method?.params[name];
  if (spec?.kind !== "choice") return undefined;
  return spec.options.find((o) => o.value === (recipe?.params[name] ?? spec.default))?.label;
}

const fileStem = (model: string | undefined, method: string | undefined): string => `${model ?? "model"}-${method ?? "merge"}`.replace(/[^\w.-]+/g, "-").toLowerCase();

/** Which fine-tuned model the charts show; nothing to choose with one. */
function ExpertSelect() {
  const names = useStudio(useShallow((s) => s.recipe?.models.map((m) => m.name) ?? []));
  const expert = useStudio((s) => s.expert);
  const setExpert = useStudio((s) => s.setExpert);
  if (names.length < 2) return null;
  return <Select label="Fine-tuned model in the charts" width={220} value={String(Math.min(expert, names.length - 1))} onChange={(v) => setExpert(Number(v))} options={names.map((n, i) => ({ value: String(i), label: n }))} />;
}

function StateBanner({ state, known }: { state: ShapeState; known: boolean }) {
  const go = useStudio((s) => s.go);
  const measure = useStudio((s) => s.measure);
  const settled = useSettled(state);
  if (state === "empty") return <Banner icon="lock" lead="Two models come first." actions={<button type="button" className="btn s" onClick={() => go("load")}>Load two models</button>}>Shape opens when a base and a fine-tuned model are here and fit together.</Banner>;
  if (settled === "stale" && state === "stale") return <Banner tone="warn" icon="warn" lead="These options need a new pass." actions={<button type="button" className="btn s" onClick={() => void measure()}>Measure again</button>}>{known ? "What still holds is shown; the rest appears when the layers are measured again." : "The numbers of the last pass were for other options."}</Banner>;
  return null;
}

/** A state that has held for a moment: between the end of a pass and its numbers nothing needs to be said. */
function useSettled(state: ShapeState): ShapeState {
  const [settled, setSettled] = useState(state);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(state), 300);
    return () => clearTimeout(timer);
  }, [state]);
  return settled;
}

function Running({ fisher }: { fisher: boolean }) {
  const jobId = useStudio((s) => s.measuring);
  const progress = useStudio((s) => (s.measuring === undefined ? undefined : s.running[s.measuring]));
  if (jobId === undefined) return null;
  return <ProgressBlock jobId={jobId} progress={progress} label={fisher ? "Fisher pass" : "Pass over both models"} reading="reading" stripUnit="block" />;
}

/** What the pass will do, where its progress will stand. */
function BeforePass({ facts, layers, fisher }: { facts: PassFacts; layers: number; fisher: boolean }) {
  const gpu = useStudio((s) => s.gpu);
  const items: [string, string][] = [
    ...(fisher && facts.inputs !== undefined ? ([[facts.seed === undefined ? "given inputs" : "random inputs", facts.inputs], ["tokens", count(facts.tokens)]] as [string, string][]) : []),
    ...(facts.seed === undefined ? [] : ([["seed", String(facts.seed)]] as [string, string][])),
    ["blocks", layers > 0 ? count(layers) : UNKNOWN],
    ["to read", facts.readBytes > 0 ? bytes(facts.readBytes) : UNKNOWN],
    ...(gpu && gpu.state !== "none" ? ([["GPU", gpu.name || gpu.state]] as [string, string][]) : []),
  ];
  return (
    <section className="panel" aria-label="What the pass will do">
      <div className="pb before-pass">
        <div className="stats">{items.map(([label, value]) => <div key={label}><span>{label}</span><span className="big">{value}</span></div>)}</div>
      </div>
    </section>
  );
}

/** Calibration and warnings, as lines under the charts. */
function Notes({ filling }: { filling: boolean }) {
  const shape = useStudio((s) => s.shape);
  const measured = useStudio((s) => s.measured);
  const keeps = useStudio((s) => s.recipe?.params["keepFisher"] === true);
  const warnings = [...new Set([...(shape?.warnings ?? []), ...(measured?.warnings ?? [])])];
  const calibration = !filling && shape && shape.calibration.moved > 0 ? shape.calibration : undefined;
  return (
    <>
      {warnings.map((w) => <div key={w} className="note-line warn"><Icon name="warn" /><span>{w}</span></div>)}
      {!filling && keeps && <FisherDownload />}
      {calibration && (
        <div className="note-line">
          <Icon name="info" />
          <span>
            Norm calibration ({calibration.mode}): {count(calibration.moved)} of {count(calibration.tested)} tensors {calibration.moved === 1 ? "is" : "are"} rescaled, because the merge moved their norm.
          </span>
        </div>
      )}
    </>
  );
}


/** The Fisher of the last pass as a safetensors file, when the recipe keeps it. */
function FisherDownload() {
  const fisherFile = useStudio((s) => s.fisherFile);
  const [state, setState] = useState<"" | "busy" | "gone" | "done">("");
  const save = async () => {
    setState("busy");
    const file = await fisherFile();
    if (file) saveBlob(file.name || "fisher.safetensors", file);
    setState(file ? "done" : "gone");
  };
  return (
    <Banner icon="file" lead="The Fisher of this pass is kept." actions={<button type="button" className="btn s" disabled={state === "busy"} onClick={() => void save()}><Icon name={state === "done" ? "check" : "download"} small />Download it</button>}>
      {state === "gone" ? "It is no longer in this browser; measure again to make it." : "One value per weight, under the model’s own tensor names, as a safetensors file."}
    </Banner>
  );
}
