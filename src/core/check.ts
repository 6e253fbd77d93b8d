import type { Reconciliation, ReconciliationKey, RowChoice } from "./recipe";
import type { Dtype } from "./tensors";

/** What a folder is, from config.json and headers alone. */
export interface ModelFacts {
  architecture: string;
  family: string;
  layers: number | undefined;
  hidden: number | undefined;
  intermediate: number | undefined;
  heads: number | undefined;
  kvHeads: number | undefined;
  headDim: number | undefined;
  vocab: number | undefined;
  context: number | undefined;
  ropeTheta: number | undefined;
  tied: boolean;
  parameters: number;
  tensors: number;
  /** Bytes by dtype, largest first. */
  dtypes: { dtype: Dtype; bytes: number }[];
  bytes: number;
  licence: string | undefined;
}

export type Severity = "block" | "warn" | "info";

export interface Finding {
  severity: Severity;
  code: string;
  title: string;
  where?: string;
  found?: string;
  why?: string;
  todo?: string;
}

export interface CheckOption {
  value: string;
  label: string;
  /** One line: what this choice does to the result. */
  consequence: string;
  /** Cannot be chosen with the other choices as they are. */
  disabled?: boolean;
}

export interface CheckRow {
  id: string;
  label: string;
  sub?: string;
  base: string;
  /** One per fine-tuned model. */
  tuned: string[];
  verdict: "match" | "differs" | "block";
  /** "What will be done", when there is nothing to choose. */
  action: string;
  /** `reason`: one line for the default. */
  choice?: { key: ReconciliationKey; value: string; reason?: string; options: CheckOption[] };
  /** Ids that carry two meanings, shown folded under the special-tokens row, with what each row takes. */
  clashes?: { id: number; base: string; tuned: string; row?: RowChoice }[];
  /** Names that are too many for a line, by what becomes of them. */
  lists?: { title: string; names: string[] }[];
}

export interface Preflight {
  verdict: "ok" | "blocked";
  elapsedMs: number;
  rows: CheckRow[];
  findings: Finding[];
  reconciliation: Reconciliation;
  /** Whether methods that need gradients can run, and if not, which part is missing. */
  fisher: { available: boolean; reason?: string };
  /** Parameters of the result under `reconciliation`. */
  parameters: number;
  /** Rows of its embedding, where the models have different numbers of them. */
  vocab?: number;
}
