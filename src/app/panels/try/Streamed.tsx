import { useStudio } from "../../state/useStudio";
import type { Contender } from "../../state";
import { bytes, fixed, mebibytes } from "../../ui/format";
import { Banner } from "../../ui/marks";

/** Said before the first token where weights are read again for each one: how much, and what that takes at least. */
export function Streamed({ list }: { list: readonly Contender[] }) {
  const facts = useStudio((s) => s.tryFacts);
  const open = useStudio((s) => s.openDrawer);
  const streamed = list.flatMap((c) => {
    const { value, gpuBytes } = facts[c.key] ?? {};
    return value?.bytesPerToken === undefined ? [] : [{ name: c.name, gpuBytes, read: value.bytesPerToken, seconds: value.secondsPerToken }];
  });
  if (streamed.length === 0) return null;
  const slowest = streamed.reduce((a, b) => (b.read > a.read ? b : a));
  const each = streamed.map(({ name, read }) => `${name} ${bytes(read)}`).join(", ");
  return (
    <Banner tone="warn" icon="warn" lead={`The weights do not fit${slowest.gpuBytes === undefined ? " the GPU memory this page may use" : ` ${mebibytes(slowest.gpuBytes)} of GPU memory`}.`} actions={<button type="button" className="btn s" onClick={() => open("gpu")}>Memory budget</button>}>
      Read again for every token: {each}. {slowest.seconds === undefined ? "How long that takes is not known yet." : `At the speed of reading so far, at least ${slowest.seconds < 0.01 ? "some milliseconds" : `${fixed(slowest.seconds, slowest.seconds < 10 ? 2 : 0)} s`} a token.`}
    </Banner>
  );
}
