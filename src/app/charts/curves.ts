/** A number that differs between tensors, as lines over the layers: plain data in, plain data out. */
import { fixed } from "../ui/format";
import type { Column } from "./csv";
import type { Reading } from "./Plot";

/** What a curve needs to know of a tensor. */
export interface CurveTensor {
  name: string;
  role: string;
  layer: number | undefined;
  elements: number;
}

const KINDS = ["attention", "MLP", "norms", "others"] as const;
type Kind = (typeof KINDS)[number];

function kindOf({ role }: CurveTensor): Kind {
  const weight = role.replace(/\.bias$/, "");
  if (/norm|^ln/.test(weight)) return "norms";
  if (/^(q|k|v|o|qkv)_proj$/.test(weight)) return "attention";
  return /^(gate|up|down|gate_up)_proj$|^router$/.test(weight) ? "MLP" : "others";
}

/** One line: the kinds of tensors that have the same numbers in every layer. */
export interface CurveSeries {
  key: string;
  label: string;
}
export type CurveRow = { layer: number } & Record<string, number | undefined>;

export interface Curves {
  rows: CurveRow[];
  series: CurveSeries[];
  /** Tensors outside the layers. */
  outside: { name: string; value: number | undefined }[];
  /** Whether tensors of one kind and layer differ; their mean over the entries is drawn then. */
  mixed: boolean;
}

/** Lines by tensor kind over the layers, kinds with the same numbers joined. `valueOf` is what the merge takes for a tensor. */
export function curvesOf(tensors: readonly CurveTensor[], layers: number, valueOf: (tensor: CurveTensor) => number | undefined): Curves {
  let mixed = false;
  const meanOf = (list: readonly CurveTensor[]): number | undefined => {
    const values = list.map((t) => valueOf(t));
    if (values.length === 0 || values.includes(undefined)) return undefined;
    if (values.every((v) => v === values[0])) return values[0];
    mixed = true;
    return list.reduce((sum, t, i) => sum + t.elements * values[i]!, 0) / list.reduce((sum, t) => sum + t.elements, 0);
  };
  const lines = KINDS.flatMap((kind) => {
    const values = Array.from({ length: layers }, (_, layer) => meanOf(tensors.filter((t) => t.layer === layer && kindOf(t) === kind)));
    return values.every((v) => v === undefined) ? [] : [{ kind, values }];
  });
  const groups: { kinds: Kind[]; values: (number | undefined)[] }[] = [];
  for (const { kind, values } of lines) {
    const same = groups.find((g) => g.values.every((v, i) => v === values[i]));
    if (same) same.kinds.push(kind);
    else groups.push({ kinds: [kind], values });
  }
  const series = groups.map(({ kinds }, i): CurveSeries => ({ key: `s${i}`, label: groups.length === 1 ? "every tensor" : kinds.join(", ") }));
  return {
    series, mixed,
    rows: Array.from({ length: layers }, (_, layer) => ({ layer, ...Object.fromEntries(groups.map((g, i) => [`s${i}`, g.values[layer]])) })),
    outside: tensors.filter((t) => t.layer === undefined).map((t) => ({ name: t.name.replace(/^model\.|\.weight$/g, ""), value: valueOf(t) })),
  };
}

/** Per layer the mean over the entries of its tensors. */
export const meanCurve = (tensors: readonly CurveTensor[], layers: number, valueOf: (tensor: CurveTensor) => number | undefined): (number | undefined)[] =>
  Array.from({ length: layers }, (_, layer) => {
    const inLayer = tensors.filter((t) => t.layer === layer);
    const entries = inLayer.reduce((sum, t) => sum + t.elements, 0);
    return entries === 0 ? undefined : inLayer.reduce((sum, t) => sum + t.elements * (valueOf(t) ?? NaN), 0) / entries;
  });

/** As it is typed: up to four decimals, no zeros behind. */
export const curveText = (value: number | undefined): string => (value === undefined ? fixed(undefined, 2) : fixed(value, 4).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, ""));

export const curveColumns = ({ series }: Pick<Curves, "series">): Column<CurveRow>[] => [
  { id: "layer", label: "Layer", value: (r) => r.layer, show: (r) => `${r.layer}` },
  ...series.map(({ key, label }): Column<CurveRow> => ({ id: label.replaceAll(", ", "_").replaceAll(" ", "_"), label, value: (r) => r[key], show: (r) => curveText(r[key]) })),
];

export const curveReading = ({ series }: Pick<Curves, "series">): Reading<CurveRow> => ({
  value: (row) => row[series[0]?.key ?? ""],
  text: (row) => series.map(({ key, label }) => `${label} ${curveText(row[key])}`).join(", "),
});

/** "Kept, density per layer: attention from 0.1 to 0.9; MLP 0.5." */
export function curveSummary(name: string, { rows, series }: Curves): string {
  const parts = series.map(({ key, label }) => {
    const known = rows.flatMap((r) => r[key] ?? []);
    const [low, high] = [Math.min(...known), Math.max(...known)];
    return `${label} ${low === high ? curveText(low) : `from ${curveText(low)} to ${curveText(high)}`}`;
  });
  return `${name} per layer: ${parts.join("; ")}.`;
}

/** "embed_tokens 0.1, norm and lm_head 0.5" */
export function outsideText(outside: Curves["outside"]): string {
  const byValue = new Map<string, string[]>();
  for (const { name, value } of outside) byValue.set(curveText(value), [...(byValue.get(curveText(value)) ?? []), name]);
  if (outside.length > 6) return "";
  return [...byValue].map(([value, names]) => `${names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0]} ${value}`).join(", ");
}
