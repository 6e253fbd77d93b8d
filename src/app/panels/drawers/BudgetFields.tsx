import type { Budgets } from "../../../engine/api";
import { useStudio } from "../../state/useStudio";
import { mebibytes } from "../../ui/format";
import { Select } from "../../ui/Select";

const MIB = 1024 ** 2;
const CHOICES: Record<keyof Budgets, readonly number[]> = {
  gpuBytes: [64, 256, 512, 1024, 2048, 3072, 4096, 8192, 16_384].map((n) => n * MIB),
  hostBytes: [256, 512, 1024, 2048, 4096].map((n) => n * MIB),
};
const LABELS: Record<keyof Budgets, string> = { gpuBytes: "GPU budget", hostBytes: "Memory budget" };

/** Upper ends of memory that a merge keeps to; a browser does not say how much there is. */
export function BudgetFields() {
  const budgets = useStudio((s) => s.budgets);
  const setBudgets = useStudio((s) => s.setBudgets);
  if (!budgets) return null;
  return (
    <div className="stack gap-1">
      {(["gpuBytes", "hostBytes"] as const).map((key) => {
        const values = CHOICES[key].includes(budgets[key]) ? CHOICES[key] : [...CHOICES[key], budgets[key]].sort((a, b) => a - b);
        return (
          <div className="row" key={key}>
            <span className="small">{LABELS[key]}</span>
            <Select label={LABELS[key]} value={String(budgets[key])} options={values.map((v) => ({ value: String(v), label: mebibytes(v) }))} onChange={(v: string) => void setBudgets({ [key]: Number(v) })} />
          </div>
        );
      })}
      <p className="small muted">Buffers are given back, slices and panels shrink to stay below. A small GPU budget may change last bits of the result.</p>
    </div>
  );
}
