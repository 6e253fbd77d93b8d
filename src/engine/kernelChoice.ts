import type { KernelRecord } from "../core/recipe";
import { tuneKey, tuneKeyText, type TuneResult } from "../gpu/autotune";
import type { AdapterFacts } from "../gpu/info";
import type { Gpu } from "../gpu/gpu";
import { isOutOfMemory } from "../gpu/memory";
import { defaultForm, FORMED_KERNELS, FORMS, formOf, useForms, type FormChoices, type Form, type FormedKernel, type ShapeClass } from "../kernels/nn/forms";
import { formChoices, tuneKernels } from "../kernels/nn/tuning";

/** Where results are kept: a key-value database of the tab, or a file of the terminal. */
export interface TuneStore {
  get<T>(key: string): Promise<T | undefined>;
  set(key: string, value: unknown): Promise<void>;
}

/** How the forms in use came about: fixed on software adapters, from a recipe, from an earlier measurement, measured now, or the first ones. */
export type ChoiceSource = "software" | "recipe" | "stored" | "measured" | "default";

export interface KernelChoice extends Pick<KernelRecord, "adapter" | "forms"> {
  source: ChoiceSource;
  /** The measurement, where there was one. */
  tuned?: TuneResult | undefined;
  /** What the person should know: another adapter than the recipe's, a form that this version does not have. */
  note?: string | undefined;
}

const CLASSES: readonly ShapeClass[] = ["few rows", "many rows"];
/** Rows that are of a class. */
const ROWS: Record<ShapeClass, number> = { "few rows": 1, "many rows": 1024 };

/** Vendor and architecture: what a tab and a terminal tell alike of the same adapter. */
export const adapterText = ({ vendor, architecture }: Pick<AdapterFacts, "vendor" | "architecture">): string => [vendor, architecture].filter(Boolean).join(", ");

/**
 * Which form of each kernel runs on a device. Hardware is measured once per adapter and browser version, within 3 s, and
 * the result kept; software adapters have one form. A recipe that says how its run was made is followed.
 */
export class KernelChoices {
  private readonly known = new Map<string, TuneResult>();

  /** `browser`: "Chrome 141", "Node 24". */
  constructor(
    private readonly store: TuneStore | undefined,
    private readonly browser: string,
  ) {}

  /** Sets the forms of the device, measuring first when nothing is known of it. Throws "gpu-lost". */
  async use(gpu: Gpu, record?: KernelRecord): Promise<KernelChoice> {
    const adapter = adapterText(gpu.facts);
    if (record) return { ...follow(gpu, record), adapter };
    if (gpu.software) {
      useForms(gpu, undefined);
      return { adapter, forms: formsInUse(gpu), source: "software" };
    }
    const stored = await this.find(gpu.facts);
    if (stored) {
      useForms(gpu, formChoices(stored));
      return { adapter, forms: formsInUse(gpu), source: "stored", tuned: stored };
    }
    try {
      const tuned = await tuneKernels(gpu, { key: this.key(gpu.facts) });
      const text = tuneKeyText(tuned.key);
      this.known.set(text, tuned);
      // A store that is full or gone costs three seconds at the next start, no more.
      await this.store?.set(text, tuned).catch(() => undefined);
      return { adapter, forms: formsInUse(gpu), source: "measured", tuned };
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
      await gpu.settle();
      return { adapter, forms: formsInUse(gpu), source: "default", note: "There was no room on the GPU to compare forms of kernels; the first ones are used." };
    }
  }

  /** What would run on an adapter, as far as is known without asking it for work. */
  async inUse(facts: AdapterFacts): Promise<Pick<KernelChoice, "forms" | "source">> {
    const stored = facts.state === "hardware" ? await this.find(facts) : undefined;
    const source = stored ? "stored" : facts.state === "software" ? "software" : "default";
    return { forms: formsFor((kernel, shape) => (stored && formChoices(stored)[kernel]?.[shape]) ?? defaultForm(facts.state === "software")), source };
  }

  private key(facts: AdapterFacts) {
    return tuneKey(facts, this.browser, facts.device);
  }

  private async find(facts: AdapterFacts): Promise<TuneResult | undefined> {
    const text = tuneKeyText(this.key(facts));
    const known = this.known.get(text) ?? (await this.store?.get<TuneResult>(text).catch(() => undefined));
    // Kept by an earlier version, or by hand: what it cannot be trusted in is measured again.
    if (!known || !Array.isArray(known.cases) || Object.keys(formChoices(known)).length !== FORMED_KERNELS.length) return undefined;
    this.known.set(text, known);
    return known;
  }
}

const formsFor = (form: (kernel: FormedKernel, shape: ShapeClass) => Form): KernelRecord["forms"] =>
  Object.fromEntries(FORMED_KERNELS.map((kernel) => [kernel, Object.fromEntries(CLASSES.map((shape) => [shape, form(kernel, shape)]))]));

/** The form of every kernel and class on a device, as a record. */
export const formsInUse = (gpu: Gpu): KernelRecord["forms"] => formsFor((kernel, shape) => formOf(gpu, kernel, ROWS[shape]));

function follow(gpu: Gpu, record: KernelRecord): Omit<KernelChoice, "adapter"> {
  const choices: FormChoices = {};
  const unknown: string[] = [];
  for (const kernel of FORMED_KERNELS)
    for (const shape of CLASSES) {
      const wanted = record.forms[kernel]?.[shape];
      const form = FORMS.find((known): known is Form => known === wanted);
      if (form) choices[kernel] = { ...choices[kernel], [shape]: form };
      else if (wanted !== undefined) unknown.push(`${kernel} ${wanted}`);
    }
  useForms(gpu, choices);
  const here = adapterText(gpu.facts);
  const notes = [
    ...(record.adapter === here ? [] : [`The recipe's run was made on ${record.adapter || "another adapter"}, this one is ${here}: the same kernels run, but last bits may differ.`]),
    ...(unknown.length > 0 ? [`The recipe names forms that this version does not have (${unknown.join(", ")}); the usual ones are used instead.`] : []),
  ];
  return { forms: formsInUse(gpu), source: "recipe", ...(notes.length > 0 ? { note: notes.join(" ") } : {}) };
}
