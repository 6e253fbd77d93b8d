import { defineKernel } from "../../gpu/kernel";
import type { Binding, Gpu } from "../../gpu/gpu";
import updateWgsl from "../../../shaders/nn/cross_entropy_update.wgsl?raw";
import finishWgsl from "../../../shaders/nn/cross_entropy_finish.wgsl?raw";
import backwardWgsl from "../../../shaders/nn/cross_entropy_backward.wgsl?raw";

/** Running log-sum-exp over vocabulary panels, see shaders/nn/cross_entropy_update.wgsl. GROUP is a power of two. */
export const crossEntropyUpdate = defineKernel({
  name: "nn/cross_entropy_update",
  wgsl: updateWgsl,
  inputs: ["logits", "targets"],
  outputs: ["state"],
  params: { R: "u32", N: "u32", row0: "u32", first: "u32", group0: "u32" },
  constants: { GROUP: 64 },
  workgroups: ({ R }) => R,
  cost: ({ R, N }) => 16 * R * N,
});

/** Negative log-likelihood per row, see shaders/nn/cross_entropy_finish.wgsl. */
export const crossEntropyFinish = defineKernel({
  name: "nn/cross_entropy_finish",
  wgsl: finishWgsl,
  inputs: ["state", "weights"],
  outputs: ["nll"],
  params: { R: "u32", group0: "u32" },
  constants: { GROUP: 64 },
  workgroups: ({ R }, c) => Math.ceil(R / c.GROUP!),
  cost: ({ R }) => 16 * R,
});

/** Logits to their gradient, in place, see shaders/nn/cross_entropy_backward.wgsl. */
export const crossEntropyBackward = defineKernel({
  name: "nn/cross_entropy_backward",
  wgsl: backwardWgsl,
  inputs: ["state", "targets", "weights"],
  outputs: ["logits"],
  params: { R: "u32", N: "u32", row0: "u32", group0: "u32" },
  constants: { GROUP: 64 },
  workgroups: ({ R, N }, c) => Math.ceil((R * N) / (8 * c.GROUP!)),
  cost: ({ R, N }) => 16 * R * N,
});

/** Bytes of the running state of R rows: maximum, sum and target logit, f32 [R, 3]. */
export const lossStateBytes = (R: number): number => 12 * R;

/** Logits f32 [R, rows] of vocabulary rows [row0, row0 + rows). */
interface LogitsCall {
  logits: Binding;
  state: Binding;
  targets: Binding;
  R: number;
  row0: number;
  rows: number;
}

/** Takes one panel into the state. `first`: the first panel of these rows, which overwrites the state. Any panel order will do. */
export function lossForward(gpu: Gpu, call: LogitsCall & { first: boolean }): void {
  const { logits, targets, state, R, row0, rows, first } = call;
  gpu.run(crossEntropyUpdate, { logits, targets, state }, { R, N: rows, row0, first: first ? 1 : 0 });
}

/** nll[r] = -log softmax(logits[r])[targets[r]] after the last panel; not weighted, but exactly 0 where weights[r] is 0. */
export function lossFinish(gpu: Gpu, call: { state: Binding; weights: Binding; nll: Binding; R: number }): void {
  const { state, weights, nll, R } = call;
  gpu.run(crossEntropyFinish, { state, weights, nll }, { R });
}

/**
 * Replaces the logits of one panel by d(sum_r weights[r] * nll[r]) / d(logits), with the state after the last panel.
 * A mean, a loss scale and ignored rows are all in `weights`.
 */
export function lossBackwardPanel(gpu: Gpu, call: LogitsCall & { weights: Binding }): void {
  const { logits, targets, weights, state, R, row0, rows } = call;
  gpu.run(crossEntropyBackward, { state, targets, weights, logits }, { R, N: rows, row0 });
}
