import type { ParamValue } from "./recipe";

interface Common {
  label: string;
  /** One line under the control. */
  help: string;
  /** `at-once`: changes charts without GPU work. `pass`: needs a new Fisher pass. `write`: only affects the export. */
  effect: "at-once" | "pass" | "write";
  /** Shown under "All options" instead of in front. */
  advanced?: boolean;
}
/** `tensor`: the number may differ between tensors; `model`: between models too. One for the whole merge when absent. */
interface CanVary { varies?: "tensor" | "model" }
export interface NumberSpec extends Common, CanVary { kind: "number"; default: number; min: number; max: number; step?: number; integer?: boolean }
export interface ChoiceSpec extends Common { kind: "choice"; default: string; options: { value: string; label: string }[] }
export interface FlagSpec extends Common { kind: "flag"; default: boolean }
/** A number, or one of a few words: `theta: adaptive | 0.2`, `r: auto | 0.2`, `outsideT: median | fixed(0.3)`. */
export interface NumberOrWordSpec extends Common, CanVary { kind: "number-or-word"; default: number | string; words: { value: string; label: string }[]; min: number; max: number; step?: number }
export type ParamSpec = NumberSpec | ChoiceSpec | FlagSpec | NumberOrWordSpec;
export type ParamSpecs = Record<string, ParamSpec>;
export type Params = Record<string, ParamValue>;
