/** Where `count` walks wait for each other: when all have come with their value, `act` sees them, and all go on. */
export class Meeting<T> {
  private here = new Map<number, T>();
  private waiting: { go(): void; fail(error: unknown): void }[] = [];
  private failure: { error: unknown } | undefined;

  constructor(
    private readonly count: number,
    private readonly act: (values: T[]) => void,
  ) {}

  async come(who: number, value: T): Promise<void> {
    if (this.failure) throw this.failure.error;
    this.here.set(who, value);
    if (this.here.size < this.count) return new Promise((go, fail) => this.waiting.push({ go, fail }));
    const values = Array.from({ length: this.count }, (_, k) => this.here.get(k)!);
    const waiting = this.waiting;
    this.here = new Map();
    this.waiting = [];
    this.act(values);
    for (const { go } of waiting) go();
  }

  /** Waits for all walks. One that fails ends the meeting, so that none waits for it; throws what the first of them threw. */
  async all(walks: readonly Promise<unknown>[]): Promise<void> {
    const settled = await Promise.allSettled(walks.map((walk) => walk.catch((error: unknown) => {
      this.end(error);
      throw error;
    })));
    const failed = settled.find((s) => s.status === "rejected");
    if (failed) throw failed.reason;
  }

  /** One of them will not come any more. */
  end(error: unknown): void {
    this.failure ??= { error };
    for (const { fail } of this.waiting.splice(0)) fail(error);
  }
}
