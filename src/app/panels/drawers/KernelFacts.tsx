import { useEffect } from "react";
import type { KernelsInUse } from "../../../engine/api";
import { useStudio } from "../../state/useStudio";
import { bytes, count } from "../../ui/format";

/** In a word or two, and in a sentence. */
const SOURCES: Record<KernelsInUse["source"], readonly [string, string]> = {
  software: ["fixed", "Software adapters have one form of each kernel."],
  recipe: ["as in the recipe", "The recipe says how its run was made."],
  stored: ["measured, kept", "Measured on this adapter with this version of the browser, and kept."],
  measured: ["measured", "Measured on this adapter before the last pass."],
  default: ["not measured yet", "Measured before the first pass on this adapter, within three seconds."],
};
/** What a kernel computes; its own name is for who reads the shaders. */
const KERNELS: Record<string, string> = { gemm_nt: "layer outputs", gemm_nn: "gradients of inputs", fisher_tn: "squared gradients" };

/** "registers", "64 × 64 by 16 × 16": result tile, then threads. */
const formText = (form: string): string => (form === "register" ? "registers" : form.replace(/x/g, " × ").replace("/", " by "));

/** Which forms of the kernels run on this adapter, and what the last pass held on it. */
export function KernelFacts() {
  const known = useStudio((s) => s.kernels);
  const refresh = useStudio((s) => s.refreshKernels);
  const measured = useStudio((s) => s.measured);
  useEffect(() => void refresh(), [refresh]);
  const inUse = measured?.kernels ?? known;
  const memory = measured?.gpuMemory;
  if (!inUse) return null;
  const [word, sentence] = SOURCES[inUse.source];
  const all = new Set(Object.values(inUse.forms).flatMap((classes) => Object.values(classes)));
  return (
    <section className="stack gap-1" aria-label="Kernels">
      <b className="small">Kernels</b>
      <dl className="facts wide">
        <dt>choice</dt><dd title={sentence}>{word}</dd>
        {all.size === 1 ? <><dt>tiles</dt><dd>{formText([...all][0]!)}, all kernels</dd></> : Object.entries(inUse.forms).flatMap(([kernel, classes]) =>
          Object.entries(classes).map(([shape, form]) => [<dt key={`${kernel} ${shape}`}>{KERNELS[kernel] ?? kernel}, {shape}</dt>, <dd key={`${kernel} ${shape} form`} title={kernel}>{formText(form)}</dd>]))}
        {memory && <><dt>most at one time, last pass</dt><dd>{bytes(memory.peakBytes)} of {bytes(memory.budgetBytes)}</dd></>}
        {memory && <><dt>blocks kept between walks</dt><dd>{count(memory.pinnedBlocks)}</dd></>}
      </dl>
    </section>
  );
}
