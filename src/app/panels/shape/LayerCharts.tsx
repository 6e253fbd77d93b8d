import { useMemo, useState, type ReactNode } from "react";
import type { ExpertShape, LayerRow } from "../../../engine/api";
import { AlphaChart, alphaAxisWords, OVERLAY_DASHES, type AlphaOverlay } from "../../charts/AlphaChart";
import { ChartPanel } from "../../charts/ChartPanel";
import { layerColumns, type Quantity } from "../../charts/columns";
import { saveText, toCsv } from "../../charts/csv";
import { DeltaChart } from "../../charts/DeltaChart";
import { FisherChart } from "../../charts/FisherChart";
import { KeptChart } from "../../charts/KeptChart";
import { ScoreChart } from "../../charts/ScoreChart";
import { TableTwin } from "../../charts/TableTwin";
import { sameRecipe, shortName } from "../../state/contenders";
import { useShallow, useStudio } from "../../state/useStudio";
import { Icon } from "../../ui/icons";

const rowKey = (r: LayerRow) => r.layer;

interface Common {
  rows: LayerRow[];
  /** Start of the CSV file names. */
  name: string;
}

/** α with its axis in words. Its table, which holds every number of the layers, opens below as a panel of its own. */
export function AlphaPanel({ rows, name, expert, quantities, height }: Common & { expert: ExpertShape | undefined; quantities: readonly Quantity[]; height: number }) {
  const [table, setTable] = useState(false);
  const empty = rows.every((r) => r.alpha === undefined);
  const overlays = useOverlays(rows.length);
  return (
    <>
      <ChartPanel
        title="α"
        sub={alphaAxisWords(rows, expert?.reachable, overlays)}
        legend={<span className="legend only-wide"><span><i className="ld" />decided by the method</span>{overlays.map((o, i) => <span key={o.id}><svg width="20" height="8" aria-hidden="true"><line x1="0" x2="20" y1="4" y2="4" stroke={`var(--series-${i + 2})`} strokeWidth="1.5" strokeDasharray={OVERLAY_DASHES[i]} /></svg> {o.label}</span>)}</span>}
        table={table && !empty}
        onTable={setTable}
        empty={empty}
        csv={() => ({ name: `${name}-alpha.csv`, text: toCsv(layerColumns(["alpha", ...(quantities.includes("gateAlpha") ? (["gateAlpha"] as const) : [])]), rows) })}
      >
        <AlphaChart rows={rows} height={height} overlays={overlays} {...(expert?.reachable ? { reachable: expert.reachable } : {})} />
      </ChartPanel>
      {table && !empty && <LayerTable rows={rows} name={name} quantities={quantities} />}
    </>
  );
}

/** Runs that were chosen in the history, three at most, where they have as many layers. */
function useOverlays(layers: number): AlphaOverlay[] {
  const [runs, charted, recipe, methods, off] = useStudio(useShallow((s) => [s.runs, s.charted, s.recipe, s.methods, s.overlay === "none"]));
  return useMemo(
    () => (off ? [] : runs.filter((run) => charted.includes(run.id) && run.alphas.length === layers && !sameRecipe(run.recipe, recipe)).slice(0, OVERLAY_DASHES.length).map((run) => ({ id: run.id, label: shortName(run.recipe, recipe, methods), values: run.alphas }))),
    [runs, charted, recipe, methods, off, layers],
  );
}

/** Every number of every layer; the row follows the cursor. */
export function LayerTable({ rows, name, quantities }: Common & { quantities: readonly Quantity[] }) {
  const [copied, setCopied] = useState(false);
  const columns = layerColumns(quantities);
  const copy = async () => {
    await navigator.clipboard.writeText(toCsv(columns, rows).replaceAll(",", "\t"));
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <section className="panel" aria-label="Table of all layers">
      <div className="ph">
        <h2>Table</h2>
        <span className="sub">the same numbers as the charts; row follows the cursor</span>
        <span className="acts">
          <button type="button" className="btn s ghost" onClick={() => void copy()}><Icon name={copied ? "check" : "copy"} small />{copied ? "Copied" : "Copy"}</button>
          <button type="button" className="btn s ghost" onClick={() => saveText(`${name}-layers.csv`, toCsv(columns, rows))}><Icon name="download" small />CSV</button>
        </span>
      </div>
      <TableTwin columns={columns} rows={rows} rowKey={rowKey} layerOf={rowKey} label="All layers" height={158} follow />
    </section>
  );
}

/** A chart whose table takes its place, at the same height. */
function TwinPanel({ title, sub, legend, keys, rows, name, height, children }: Common & { title: string; sub: string; legend?: ReactNode; keys: readonly Quantity[]; height: number; children: ReactNode }) {
  const [table, setTable] = useState(false);
  const columns = layerColumns(keys);
  const empty = rows.every((r) => keys.every((k) => r[k] === undefined));
  return (
    <ChartPanel title={title} sub={sub} legend={legend} table={table && !empty} onTable={setTable} empty={empty} csv={() => ({ name: `${name}-${columns[1]!.id}.csv`, text: toCsv(columns, rows) })}>
      {table && !empty ? (
        <div style={{ height }}>
          <TableTwin columns={columns} rows={rows} rowKey={rowKey} layerOf={rowKey} label={`${title} per layer, table`} height={height} follow />
        </div>
      ) : (
        children
      )}
    </ChartPanel>
  );
}

/** F, mean δ², s and kept: those the method has. While measuring only what fills block by block. */
export function SmallCharts({ rows, name, expert, quantities, pending, trimLabel, signal, height }: Common & { expert: ExpertShape | undefined; quantities: readonly Quantity[]; pending: boolean; trimLabel: string; signal: string | undefined; height: number }) {
  const has = (q: Quantity) => quantities.includes(q);
  const common = { rows, name, height };
  const shared = { rows, height, pending };
  return (
    <div className="grid2 layer-charts">
      {has("fisher") && (
        <TwinPanel {...common} title="F" sub={pending ? "appears block by block, last layer first" : "mean squared gradient, log"} keys={["fisher"]}>
          <FisherChart {...shared} />
        </TwinPanel>
      )}
      {has("delta2") && (
        <TwinPanel {...common} title="mean δ²" sub="fine-tuned minus base" keys={["delta2"]}>
          <DeltaChart {...shared} />
        </TwinPanel>
      )}
      {has("s") && !pending && (
        <TwinPanel {...common} title="s" sub={signal === undefined ? "score of a layer, sets α" : `ln(${signal}), sets α`} keys={["s"]}>
          <ScoreChart {...shared} {...(expert?.median === undefined ? {} : { median: expert.median })} />
        </TwinPanel>
      )}
      {has("kept") && !pending && (
        <TwinPanel
          {...common}
          title="Kept"
          sub={trimLabel}
          keys={["kept", "delta2ShareKept"]}
          legend={<span className="legend"><span><i className="lk" />entries</span><span><i className="le" />share of δ²</span></span>}
        >
          <KeptChart {...shared} />
        </TwinPanel>
      )}
    </div>
  );
}
