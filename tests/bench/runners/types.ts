import type { BenchCase, Inputs } from "../cases";

/** A case on one library's device: `run` calls it `times` times and ends when the GPU is done, `output` is the result of the last call. */
export interface Prepared {
  run(times: number): Promise<void>;
  output(): Promise<Float32Array>;
  dispose(): void | Promise<void>;
  /** What was chosen among several ways of writing the case, when there was a choice. */
  note?: string;
}

export interface Runner {
  name: string;
  /** Undefined when the library cannot express the case. */
  prepare(one: BenchCase, inputs: Inputs): Promise<Prepared | undefined>;
}

/** Arrays one after another, as the block case compares them. */
export function joined(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
