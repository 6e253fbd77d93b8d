import type { Gpu } from "../gpu/gpu";
import { add } from "../kernels/nn/add";
import { linearForwards } from "../kernels/nn/gemm";
import { gemvForward, gemvGated } from "../kernels/nn/gemv";
import { siluMul } from "../kernels/nn/siluMul";
import type { BlockWeights, LinearRole } from "../model/block";
import type { BufferScope } from "../model/scope";

/** The linear layers of a block over M rows. Buffers come from `scope`. */
export interface Products {
  /** y = x W^T + b of each role, one input for all. */
  apply(x: GPUBuffer, ...roles: LinearRole[]): GPUBuffer[];
  /** into += x W^T + b. */
  addTo(into: GPUBuffer, x: GPUBuffer, role: LinearRole): void;
  /** silu(x G^T) * (x U^T). */
  gated(x: GPUBuffer): GPUBuffer;
}

const linear = (block: BlockWeights, role: LinearRole) => block.linears.get(role)!;

/** For the rows of prompts: the tiles of the forward pass. */
export function manyRows(gpu: Gpu, scope: BufferScope, block: BlockWeights, M: number): Products {
  const apply: Products["apply"] = (x, ...roles) => {
    const layers = roles.map((role) => {
      const { weight, bias } = linear(block, role);
      return { weight, bias, y: scope.alloc(4 * M * weight.rows, role) };
    });
    linearForwards(gpu, { x, M, layers });
    return layers.map(({ y }) => y);
  };
  return {
    apply,
    addTo: (into, x, role) => {
      const [y] = apply(x, role);
      gpu.run(add, { x: y!, y: into }, { count: M * linear(block, role).weight.rows });
      scope.free(y);
    },
    gated: (x) => {
      const [gate, up] = apply(x, "gate_proj", "up_proj");
      return siluInto(gpu, scope, block, M, gate!, up!);
    },
  };
}

/** For one row of each sequence of a batch: each weight is read once, sums in one order whatever M is. */
export function fewRows(gpu: Gpu, scope: BufferScope, block: BlockWeights, M: number): Products {
  const apply: Products["apply"] = (x, ...roles) =>
    roles.map((role) => {
      const { weight, bias } = linear(block, role);
      const y = scope.alloc(4 * M * weight.rows, role);
      gemvForward(gpu, { x, M, y, weight, bias });
      return y;
    });
  return {
    apply,
    addTo: (into, x, role) => gemvForward(gpu, { x, M, y: into, ...linear(block, role), accumulate: true }),
    gated: (x) => {
      const { weight: gate, bias } = linear(block, "gate_proj");
      const { weight: up } = linear(block, "up_proj");
      if (bias || gate.dtype !== up.dtype) {
        const [g, u] = apply(x, "gate_proj", "up_proj");
        return siluInto(gpu, scope, block, M, g!, u!);
      }
      const y = scope.alloc(4 * M * gate.rows, "activation");
      gemvGated(gpu, { x, M, y, gate, up });
      return y;
    },
  };
}

function siluInto(gpu: Gpu, scope: BufferScope, block: BlockWeights, M: number, gate: GPUBuffer, up: GPUBuffer): GPUBuffer {
  const count = M * linear(block, "gate_proj").weight.rows;
  const y = scope.alloc(4 * count, "activation");
  gpu.run(siluMul, { g: gate, u: up, y }, { count });
  scope.free(gate, up);
  return y;
}
