/** What a view adds or changes; everything else is the device's own. */
type Overlay = Record<PropertyKey, unknown>;

const bound = (from: object, key: PropertyKey): unknown => {
  const value: unknown = Reflect.get(from, key);
  return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(from) : value;
};

/** `inner` with properties of its own on top: assigning to it changes it alone. */
const layered = <T extends object>(inner: T, own: Overlay, used: () => void = () => undefined): T =>
  new Proxy(own, {
    get: (_, key) => {
      used();
      return key in own ? own[key] : bound(inner, key);
    },
  }) as unknown as T;

/**
 * One device for many: each asker gets a view with buffers, a queue object, an end and error events of its own. Kernels are compiled
 * for the device, so a view that asks for one that another had already asked for gets it at once: Dawn finds pipelines again by their
 * content as long as somebody holds them, and all are held here.
 */
export class SharedDevice {
  private readonly views = new Set<() => void>();
  private readonly pipelines: GPUComputePipeline[] = [];
  /** Listeners of the view that was used last: what the device reports is about its work. */
  private listeners: ((event: Event) => void)[] = [];
  gone = false;

  constructor(private readonly device: GPUDevice) {
    device.addEventListener("uncapturederror", (event) => this.listeners.forEach((listener) => listener(event)));
    void device.lost.then(() => (this.gone = true));
  }

  view(): GPUDevice {
    const { device } = this;
    const buffers = new Set<GPUBuffer>();
    const listeners: ((event: Event) => void)[] = [];
    let end: (info: GPUDeviceLostInfo) => void;
    const ended = new Promise<GPUDeviceLostInfo>((resolve) => (end = resolve));
    const destroy = (): void => {
      buffers.forEach((buffer) => buffer.destroy());
      buffers.clear();
      this.views.delete(destroy);
      end({ reason: "destroyed", message: "The view was destroyed." } as GPUDeviceLostInfo);
    };
    this.views.add(destroy);
    return layered(device, {
      queue: layered(device.queue, {}),
      lost: Promise.race([ended, device.lost]),
      destroy,
      addEventListener: (type: string, listener: (event: Event) => void) => type === "uncapturederror" && listeners.push(listener),
      createBuffer: (descriptor: GPUBufferDescriptor) => {
        const buffer = device.createBuffer(descriptor);
        buffers.add(buffer);
        return buffer;
      },
      createComputePipeline: (descriptor: GPUComputePipelineDescriptor) => {
        const pipeline = device.createComputePipeline(descriptor);
        this.pipelines.push(pipeline);
        return pipeline;
      },
    }, () => (this.listeners = listeners));
  }

  /** Ends all views, and with them their buffers; the device and its kernels stay. */
  endViews(): void {
    for (const destroy of [...this.views]) destroy();
  }
}
