import type { CheckOption, CheckRow } from "../core/check";
import { formatBytes } from "../core/modelFiles";
import type { Reconciliation, ReconciliationKey } from "../core/recipe";
import { tensorBytes } from "../formats/safetensors";
import { HEAD } from "../model/architectures";
import { isTied, outputTensors } from "../model/pairing";
import { isBuffer } from "../model/support";
import { tokenRows } from "../model/vocabulary";
import { inParts, isFree, n, naming, plural, ropeText, tooFewRows, type Pair, type Side } from "./preflightFindings";
import { specialTokenClashes, templateName } from "./preflightTokens";

const NOTHING = "nothing to do";

/** Parameters and bytes of the result under choices of head and vocabulary, and the rows of its embedding where they had to be chosen. */
export function resultSize(pair: Pair, chosen: Pick<Reconciliation, "tied" | "tokenizer" | "vocabulary">): { parameters: number; bytes: number; vocab: number | undefined } {
  const { tensors, vocab } = outputTensors(pair.base.model, pair.tuned.map((t) => t.model), chosen);
  return { vocab, ...tensors.reduce((sum, t) => ({ parameters: sum.parameters + (isBuffer(t.name) ? 0 : t.elements), bytes: sum.bytes + tensorBytes(t) }), { parameters: 0, bytes: 0 }) };
}

/** Whether a value of any fine-tuned model is another one than the base's. */
export const anyDiffers = (pair: Pair, read: (s: Side) => unknown): boolean => pair.tuned.some((t) => JSON.stringify(read(t)) !== JSON.stringify(read(pair.base)));

/** Choices when the reader has made none (METHODS 8.4): untie, the longer context, and what a user talks to from the fine-tuned model. */
export function reconcile(pair: Pair, choice: Partial<Reconciliation> = {}): Reconciliation {
  const first = pair.tuned[0];
  const from = (differs: boolean, has: boolean): "base" | "finetuned" => (differs && has ? "finetuned" : "base");
  const defaults: Omit<Reconciliation, "clashRows"> = {
    tied: "untie",
    context: "max",
    tokenizer: from(anyDiffers(pair, (s) => s.tokens.raw), first?.tokens.present ?? false),
    chatTemplate: from(anyDiffers(pair, (s) => s.tokens.template), first?.tokens.template !== undefined),
    generationConfig: from(anyDiffers(pair, (s) => s.tokens.generation), first?.tokens.generation !== undefined),
  };
  const known = Object.fromEntries(Object.entries(choice).filter(([, value]) => value !== undefined));
  const chosen = { ...defaults, ...known } as Omit<Reconciliation, "clashRows"> & Partial<Reconciliation>;
  const clash = first !== undefined && specialTokenClashes(pair.base.tokens, first.tokens).length > 0;
  return { ...chosen, clashRows: chosen.clashRows ?? (clash && chosen.tokenizer === "finetuned" ? "finetuned" : "mix") };
}

interface Draft {
  id: string;
  label: string;
  sub?: string;
  read: (s: Side) => string;
  /** What is compared when the shown text says less than the value. */
  same?: (s: Side) => unknown;
  match: string | ((pair: Pair) => string);
  /** Text of the last column when the values differ, or the choice. */
  differs: (pair: Pair, chosen: Reconciliation) => { action: string; choice?: Omit<NonNullable<CheckRow["choice"]>, "value">; verdict?: CheckRow["verdict"] };
  extra?: (pair: Pair, chosen: Reconciliation) => Partial<CheckRow>;
}

const block = (action: string) => (): { action: string; verdict: "block" } => ({ action, verdict: "block" });
type Choice = Omit<NonNullable<CheckRow["choice"]>, "value">;
const twoOptions = (key: ReconciliationKey, reason: string, base: [string, string], tuned: [string, string]): Choice => ({
  key, reason, options: [{ value: "finetuned", label: tuned[0], consequence: tuned[1] }, { value: "base", label: base[0], consequence: base[1] }],
});

function headOptions(pair: Pair, chosen: Reconciliation): CheckOption[] {
  const size = (tied: Reconciliation["tied"]): ReturnType<typeof resultSize> => resultSize(pair, { ...chosen, tied });
  const smallest = Math.min(...(["untie", "tie-as-base", "head-from-finetuned"] as const).map((t) => size(t).bytes));
  const consequence = (tied: Reconciliation["tied"], note = ""): string => {
    const { bytes, parameters } = size(tied);
    return `${note}${bytes > smallest ? `+${formatBytes(bytes - smallest)} · ` : ""}${n(parameters)} parameters in the result`;
  };
  const tied = isTied(pair.base.model);
  return [
    { value: "untie", label: tied ? "Untie, merge both heads" : "Merge both heads", consequence: consequence("untie") },
    { value: "tie-as-base", label: tied ? "Tie, as the base" : "Head of the base", consequence: consequence("tie-as-base", "the fine-tuned head is dropped · ") },
    { value: "head-from-finetuned", label: "Head of the fine-tuned", consequence: consequence("head-from-finetuned", "copied, not merged · ") },
  ];
}

function contextOptions(pair: Pair): CheckOption[] {
  const a = pair.base.facts.context ?? 0;
  const b = pair.tuned[0]?.facts.context ?? 0;
  const most = Math.max(a, ...pair.tuned.map((t) => t.facts.context ?? 0));
  const cut = (value: number): string => (value < most ? `${n(value)} would cut long answers` : "room for the longest answers");
  return [
    { value: "max", label: `Larger, ${n(most)}`, consequence: `${n(Math.min(a, b))} would cut long answers` },
    { value: "base", label: `Base, ${n(a)}`, consequence: cut(a) },
    { value: "finetuned", label: `Fine-tuned, ${n(b)}`, consequence: cut(b) },
  ];
}

const generation = (s: Side): string => {
  const g = s.tokens.generation;
  if (!g) return "none";
  const parts = ["temperature", "top_p", "max_new_tokens", "eos_token_id"].filter((k) => g[k] !== undefined && g[k] !== null).map((k) => `${k} ${JSON.stringify(g[k])}`);
  return parts.join(" · ") || `${Object.keys(g).length} settings`;
};
const dtypeText = (s: Side): string => s.facts.dtypes.map((d) => d.dtype).join(" · ");
const ids = (value: unknown): string => (value === undefined || value === null ? "none" : [value].flat().map((x) => (typeof x === "number" ? n(x) : String(x))).join(", "));
const clashesOf = (pair: Pair) => (pair.tuned[0] ? specialTokenClashes(pair.base.tokens, pair.tuned[0].tokens) : []);
const widthDiffers = (pair: Pair): boolean => anyDiffers(pair, (s) => s.facts.hidden);
const followsWidth = (pair: Pair): { action: string; verdict: "block" } => ({ action: widthDiffers(pair) ? "follows from the width" : "cannot be merged; see above", verdict: "block" });
const embeddingRows = (s: Side): number | undefined => tokenRows(s.model) ?? s.facts.vocab;

/** "151,936: 151,643 tokens, 22 added, 271 padding": rows, and what the tokenizer has for them. */
function vocabularyText(side: Side): string {
  const rows = embeddingRows(side);
  const { vocab, added, ids } = side.tokens;
  if (rows === undefined || vocab.size === 0) return n(rows);
  const known = new Set(vocab.values());
  const fresh = [...added.keys()].filter((id) => !known.has(id)).length;
  const rest = rows - ids;
  return `${n(rows)}: ${n(known.size)} tokens${fresh > 0 ? `, ${n(fresh)} added` : ""}${rest > 0 ? `, ${n(rest)} padding` : rest < 0 ? `, ${n(-rest)} without a row` : ""}`;
}

/** Rows of the result, with those that only some models have told by whose they are; one that the tokenizer has too few of cannot be chosen. */
function vocabularyChoice(pair: Pair, chosen: Reconciliation): Choice {
  const sides = [pair.base, ...pair.tuned];
  const least = Math.min(...sides.map((s) => embeddingRows(s) ?? 0));
  const option = (value: NonNullable<Reconciliation["vocabulary"]>, label: string, whose: string): CheckOption => {
    const { vocab: rows = 0, parameters } = resultSize(pair, { ...chosen, vocabulary: value });
    const few = tooFewRows(pair, { ...chosen, vocabulary: value }, rows).length > 0;
    const own = rows > least ? `rows from ${n(least)} on are ${whose} own` : "only rows that all have";
    return { value, label: `${label}, ${n(rows)} rows`, consequence: few ? "too few for the tokenizer that goes along" : `${own} · ${n(parameters)} parameters in the result`, ...(few ? { disabled: true } : {}) };
  };
  return {
    key: "vocabulary", reason: "the rows of the model that gives the tokenizer, so that each of its ids has one",
    options: [option("base", "As the base", "the base's"), option("finetuned", "As the fine-tuned", "the fine-tuned model's"), option("common", "In common", "")],
  };
}

const stopChoice = (p: Pair): Choice => twoOptions("stopIds", "those of the model that gives the tokenizer, since they are ids of it",
  ["From base", `ends at ${ids(p.base.model.config.eos_token_id)}`], ["From fine-tuned", `ends at ${ids(p.tuned[0]?.model.config.eos_token_id)}`]);
/** Choices that follow the tokenizer until they are made. */
const valueOf = (key: ReconciliationKey, chosen: Reconciliation): string => chosen[key] ?? chosen.tokenizer;

/** The table, in the order of the page: what may need a choice first, then what must agree. */
const drafts: Draft[] = [
  { id: "head", label: "Output head", sub: HEAD, read: (s) => (isTied(s.model) ? "tied to embedding" : "own tensor"), match: (p) => (isTied(p.base.model) ? "stays tied; none is written" : "merged as any tensor"), differs: (p, chosen) => ({ action: "", choice: { key: "tied", reason: "untied, since then either end of the merge is one of the models exactly", options: headOptions(p, chosen) } }) },
  { id: "context", label: "Context length", sub: "max_position_embeddings", read: (s) => n(s.facts.context), match: NOTHING, differs: (p) => ({ action: "", choice: { key: "context", reason: "the larger, since one of the models was trained that far", options: contextOptions(p) } }) },
  { id: "chatTemplate", label: "Chat template", sub: "tokenizer_config.json", read: (s) => templateName(s.tokens.template), same: (s) => s.tokens.template ?? null, match: (p) => (p.base.tokens.template === undefined ? "none in either" : NOTHING), differs: () => ({ action: "", choice: twoOptions("chatTemplate", "the fine-tuned model's, since it was trained on that form", ["From base", "the result is talked to as the base"], ["From fine-tuned", "the result is talked to as the fine-tuned model"]) }) },
  {
    id: "tokenizer", label: "Special tokens", read: (s) => (s.tokens.present ? `${s.tokens.name}, ${n(s.tokens.added.size)} added` : "none"), same: (s) => s.tokens.raw, match: (p) => (p.base.tokens.present ? NOTHING : "none in either"),
    differs: () => ({ action: "", choice: twoOptions("tokenizer", "the fine-tuned model's, since its special tokens are what it writes", ["Tokenizer from base", "texts are cut into tokens as the base does"], ["Tokenizer from fine-tuned", "texts are cut into tokens as the fine-tuned model does"]) }),
    extra: (p, { clashRows, rows }) => {
      const least = Math.min(...[p.base, ...p.tuned].map((s) => embeddingRows(s) ?? 0));
      const clashes = clashesOf(p).map((clash) => (clash.id < least ? { ...clash, row: rows?.[clash.id] ?? clashRows } : clash));
      return clashes.length > 0 ? { sub: `${plural(clashes.length, "id")} ${clashes.length === 1 ? "carries" : "carry"} two meanings`, clashes } : { sub: "tokenizer files" };
    },
  },
  { id: "generationConfig", label: "Generation settings", sub: "generation_config.json", read: generation, same: (s) => s.tokens.generation ?? null, match: (p) => (p.base.tokens.generation ? NOTHING : "none in either"), differs: () => ({ action: "", choice: twoOptions("generationConfig", "the fine-tuned model's, since its answers are what sampling has to suit", ["From base", "sampling as the base suggests"], ["From fine-tuned", "sampling as the fine-tuned model suggests"]) }) },
  {
    id: "architecture", label: "Architecture", read: (s) => s.facts.architecture || "not named", match: (p) => (p.fisher.available ? "Fisher available: forward and backward are implemented" : `Fisher not available. ${p.fisher.reason ?? ""}`), differs: block("cannot be merged; see above"),
  },
  { id: "layers", label: "Layers", sub: "num_hidden_layers", read: (s) => n(s.facts.layers), match: (p) => (p.base.facts.layers === undefined ? NOTHING : `one α per block, ${n(p.base.facts.layers)} in all`), differs: block("cannot be merged; see above") },
  { id: "width", label: "Width", sub: "hidden · intermediate", read: (s) => `${n(s.facts.hidden)} · ${n(s.facts.intermediate)}`, match: NOTHING, differs: block("cannot be merged; see above") },
  { id: "heads", label: "Heads", sub: "query · key-value · dim", read: (s) => `${n(s.facts.heads)} · ${n(s.facts.kvHeads)} · ${n(s.facts.headDim)}`, match: NOTHING, differs: followsWidth },
  { id: "vocabulary", label: "Vocabulary", sub: "vocab_size", read: vocabularyText, same: embeddingRows, match: "no rows added or cut", differs: (p, chosen) => ({ action: "", choice: vocabularyChoice(p, chosen) }) },
  {
    id: "tensors", label: "Tensors", sub: "name and shape", read: (s) => n(s.facts.tensors), same: () => 0,
    match: (p) => `${n(p.pairing.shared.length)} pair up${anyDiffers(p, (s) => isTied(s.model)) ? `; ${HEAD} is the choice above` : ""}`,
    differs: () => ({ action: "" }),
    extra: ({ pairing }) => {
      const parts = ([["only in the base", pairing.missing], ["only in the fine-tuned model", pairing.extra], ["of another shape", pairing.mismatched]] as const).filter(([, list]) => list.length > 0);
      if (parts.length === 0) return {};
      const names = (list: { name: string }[]): string[] => [...new Set(list.map((m) => m.name))];
      const become = { "only in the base": "only in the base, copied", "only in the fine-tuned model": "only in the fine-tuned model, left out", "of another shape": "of another shape" };
      return {
        verdict: pairing.mismatched.length > 0 ? "block" : "differs",
        action: `${n(pairing.shared.length)} pair up; ${parts.map(([words, list]) => `${n(names(list).length)} ${become[words]}: ${naming(inParts(names(list)), 2)}`).join("; ")}`,
        lists: parts.map(([words, list]) => ({ title: become[words], names: names(list) })),
      };
    },
  },
  { id: "dtype", label: "Dtype", sub: "stored", read: dtypeText, match: (p) => `result written as ${p.base.facts.dtypes[0]?.dtype ?? "stored"}, computed in F32`, differs: (p) => ({ action: `result written as the base, ${p.base.facts.dtypes[0]?.dtype ?? ""}, computed in F32; can be changed in Save` }) },
  { id: "rope", label: "Rotary base", sub: "rope_theta", read: (s) => (s.config ? ropeText(s.config.rope) : n(s.facts.ropeTheta)), same: (s) => s.config?.rope ?? s.facts.ropeTheta ?? null, match: NOTHING, differs: () => ({ action: "the base's is kept; see the finding" }) },
  { id: "stop", label: "Stop ids", sub: "eos_token_id", read: (s) => ids(s.model.config.eos_token_id), match: NOTHING, differs: (p) => ({ action: "", choice: stopChoice(p) }) },
  {
    id: "licence", label: "Licence", read: (s) => s.facts.licence ?? "not stated", same: (s) => (isFree(s.facts.licence) ? "free" : (s.facts.licence ?? "")), match: (p) => (p.base.facts.licence === undefined ? "the model card says that none is stated" : anyDiffers(p, (s) => s.facts.licence) ? "compatible; both notices go into the model card" : "goes into the model card"),
    differs: () => ({ action: "both are named in the model card; read them before sharing" }),
  },
];

function row(draft: Draft, pair: Pair, chosen: Reconciliation): CheckRow {
  const differs = anyDiffers(pair, draft.same ?? draft.read);
  const end = differs ? draft.differs(pair, chosen) : { action: typeof draft.match === "string" ? draft.match : draft.match(pair) };
  const out: CheckRow = {
    id: draft.id, label: draft.label, ...(draft.sub ? { sub: draft.sub } : {}), base: draft.read(pair.base), tuned: pair.tuned.map(draft.read),
    verdict: differs ? (("verdict" in end && end.verdict) || "differs") : "match", action: end.action,
  };
  if ("choice" in end && end.choice) out.choice = { ...end.choice, value: valueOf(end.choice.key, chosen) };
  return { ...out, ...draft.extra?.(pair, chosen) };
}

/** The width that differs is shown in its two parts, as only one of them may be the cause. */
function splitWidth(rows: CheckRow[], pair: Pair): CheckRow[] {
  return rows.flatMap((r) => {
    if (r.id !== "width" || r.verdict !== "block") return [r];
    const part = (id: string, label: string, sub: string, read: (s: Side) => number | undefined, action: string): CheckRow => {
      const differs = anyDiffers(pair, read);
      return { id, label, sub, base: n(read(pair.base)), tuned: pair.tuned.map((t) => n(read(t))), verdict: differs ? "block" : "match", action: differs ? action : NOTHING };
    };
    return [
      part("width", "Width", "hidden_size", (s) => s.facts.hidden, "cannot be merged; see above"),
      part("intermediate", "", "intermediate_size", (s) => s.facts.intermediate, widthDiffers(pair) ? "follows from the width" : "cannot be merged; see above"),
    ];
  });
}

/** Rows of the Check table. A blocked pair offers no choices: they are not considered until the blocker is gone. */
export function checkRows(pair: Pair, chosen: Reconciliation, blocker: string | undefined): CheckRow[] {
  const rows = splitWidth(drafts.map((d) => row(d, pair, chosen)), pair);
  const clashes = clashesOf(pair);
  if (clashes.length > 0) {
    const at = rows.findIndex((r) => r.id === "tokenizer");
    const options = [{ value: "mix", label: "Mixed, as any row", consequence: "half of each meaning" }, ...twoOptions("clashRows", "", ["Base, unmixed", "the base's meaning"], ["Fine-tuned, unmixed", "the fine-tuned meaning"]).options];
    rows.splice(at + 1, 0, { id: "clashRows", label: "Embedding rows", sub: `of ${plural(clashes.length, "id")} with two meanings`, base: "own", tuned: pair.tuned.map(() => "own"), verdict: "differs", action: "", choice: { key: "clashRows", value: chosen.clashRows, reason: "unmixed where the fine-tuned tokenizer goes along, since half of each meaning is neither", options } });
  }
  if (blocker === undefined) return rows;
  const primary = blocker === "shape-mismatch" ? "until the width agrees" : "until the blocker above is solved";
  return rows.map(({ choice: _, ...r }) => {
    if (r.verdict === "differs") return { ...r, action: `not considered ${primary}` };
    const consequence = r.verdict === "block" && r.id === "tensors" && blocker !== "tensor-shape-mismatch";
    return consequence ? { ...r, verdict: "differs", action: `not considered ${primary}` } : r;
  });
}
