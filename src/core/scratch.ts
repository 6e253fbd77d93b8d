/**
 * Arrays that are used again and again under a name: each grows to the longest that was asked for. Loops over slices take
 * theirs from here, so that memory does not fill with dead ones between collections. What was in an array is gone at the
 * next request for its name.
 *   const scratch = Scratch.take();  try { ... } finally { scratch.give(); }
 */
export class Scratch {
  private static readonly idle: Scratch[] = [];
  private readonly held = new Map<string, ArrayBuffer>();

  /** One that no other loop is using. */
  static take(): Scratch {
    return Scratch.idle.pop() ?? new Scratch();
  }

  /** Lets go of all that is idle: for the end of a job. */
  static clear(): void {
    Scratch.idle.length = 0;
  }

  /** For the next loop; what it handed out must not be used any more. */
  give(): void {
    Scratch.idle.push(this);
  }

  bytes(name: string, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.buffer(name, length), 0, length);
  }

  floats(name: string, length: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.buffer(name, 4 * length), 0, length);
  }

  private buffer(name: string, bytes: number): ArrayBuffer {
    const known = this.held.get(name);
    if (known && known.byteLength >= bytes) return known;
    const made = new ArrayBuffer(bytes);
    this.held.set(name, made);
    return made;
  }
}
