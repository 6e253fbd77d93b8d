import type { DecoderOptions } from "../model/decoder";
import { runsOf } from "./layout";

/** Hidden states that a walk may hold between two blocks: more sequences than fit are walked in runs, each of which reads the model again. */
const HIDDEN_BYTES = 256 * 1024 * 1024;

export interface WalkOptions extends Pick<DecoderOptions, "panelBytes" | "inputsOnHost"> {
  signal?: AbortSignal | undefined;
  /** After each block: how many were walked before it, and how many there are, over all runs. */
  onBlock?: ((before: number, total: number) => void) | undefined;
  /** A batch holds at least one sequence, and more while its rows stay within this. */
  maxRows?: number | undefined;
  hiddenBytes?: number | undefined;
}

/** The runs that `sequences` are walked in, and what each of them is given. */
export function walksOf({ signal, onBlock, maxRows, hiddenBytes = HIDDEN_BYTES, ...decoder }: WalkOptions, sequences: number[][], model: { layers: number; bytesPerToken: number }) {
  const runs = runsOf(sequences, hiddenBytes / model.bytesPerToken);
  let before = 0;
  return {
    runs,
    signal,
    decoder: { ...decoder, ...(maxRows === undefined ? {} : { maxRows }) } satisfies DecoderOptions,
    onBlock: () => onBlock?.(before++, runs.length * model.layers),
  };
}
