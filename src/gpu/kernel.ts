/** One shader and how it is called. Buffer names are the WGSL variable names, in binding order. */
export interface Kernel<P extends string = string> {
  name: string;
  /** Library snippets and the shader itself, joined: the text that the GPU compiles. */
  code: string;
  inputs: readonly string[];
  outputs: readonly string[];
  /** 4-byte scalars of the uniform `params`, packed in this order. */
  params: Readonly<Record<P, "u32" | "f32" | "i32">>;
  /** Defaults of the `override` constants. */
  constants: Readonly<Record<string, number>>;
  /** How many workgroups, before folding into two dimensions. */
  workgroups(params: Record<P, number>, constants: Record<string, number>): number;
  /** Floating-point operations (or, for memory-bound kernels, elements) of one call; cuts work into short submits. */
  cost(params: Record<P, number>): number;
  /** Has a u32 param `group0` added to the flat workgroup index, so that one call may be cut into several dispatches. */
  splittable: boolean;
}

export interface KernelSpec<P extends string> {
  name: string;
  wgsl: string;
  lib?: string[];
  inputs: readonly string[];
  outputs: readonly string[];
  params: Readonly<Record<P, "u32" | "f32" | "i32">>;
  constants?: Readonly<Record<string, number>>;
  workgroups: (params: Record<P, number>, constants: Record<string, number>) => number;
  cost?: (params: Record<P, number>) => number;
}

/**
 * Declares a kernel. Bindings are inputs (read-only storage), outputs (storage, overwritten or accumulated as the
 * shader's head says), then one uniform named `params` when there are any.
 */
export function defineKernel<P extends string>(spec: KernelSpec<P>): Kernel<P> {
  return {
    name: spec.name,
    code: [...(spec.lib ?? []), spec.wgsl].join("\n"),
    inputs: spec.inputs,
    outputs: spec.outputs,
    params: spec.params,
    constants: spec.constants ?? {},
    workgroups: spec.workgroups,
    cost: spec.cost ?? (() => 0),
    splittable: "group0" in spec.params,
  };
}

/** Workgroup counts folded into x and y, because a dispatch dimension stops at 65,535. The shader reads id.x + id.y * count.x. */
export function foldWorkgroups(count: number): [number, number] {
  if (count <= 65_535) return [count, 1];
  const y = Math.ceil(count / 65_535);
  return [Math.ceil(count / y), y];
}
