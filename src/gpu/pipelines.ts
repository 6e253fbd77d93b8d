import type { Kernel } from "./kernel";

export interface Compiled {
  pipeline: GPUComputePipeline;
  layout: GPUBindGroupLayout;
}

/** Compiled kernels by name and override constants; each is compiled when first called. */
export class Pipelines {
  private readonly known = new Map<string, Compiled>();

  constructor(private readonly device: GPUDevice) {}

  /** How many were compiled so far. */
  get size(): number {
    return this.known.size;
  }

  get(kernel: Kernel, constants: Record<string, number>): Compiled {
    const key = `${kernel.name}|${JSON.stringify(constants)}`;
    let compiled = this.known.get(key);
    if (!compiled) this.known.set(key, (compiled = this.compile(kernel, constants)));
    return compiled;
  }

  private compile(kernel: Kernel, constants: Record<string, number>): Compiled {
    const { device } = this;
    const entries: GPUBindGroupLayoutEntry[] = [
      ...kernel.inputs.map((_, binding): GPUBindGroupLayoutEntry => ({ binding, visibility: 4, buffer: { type: "read-only-storage" } })),
      ...kernel.outputs.map((_, i): GPUBindGroupLayoutEntry => ({ binding: kernel.inputs.length + i, visibility: 4, buffer: { type: "storage" } })),
    ];
    if (Object.keys(kernel.params).length > 0) entries.push({ binding: entries.length, visibility: 4, buffer: { type: "uniform" } });
    const layout = device.createBindGroupLayout({ entries, label: kernel.name });
    const module = device.createShaderModule({ code: kernel.code, label: kernel.name });
    const pipeline = device.createComputePipeline({
      label: kernel.name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main", constants },
    });
    return { pipeline, layout };
  }
}
