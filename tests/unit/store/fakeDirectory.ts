/** A FileSystemDirectoryHandle in memory: as much of it as the output folders use, with its failures. */
export interface FakeOptions {
  /** Offers sync access handles, as a worker's OPFS does. */
  sync?: boolean;
  /** Writes and truncations that would bring all files together above this fail with QuotaExceededError. */
  quota?: number;
}

class Node {
  bytes = new Uint8Array(0);
}

export class FakeDirectory {
  readonly kind = "directory";
  readonly children = new Map<string, FakeDirectory | Node>();
  constructor(readonly name: string, readonly options: FakeOptions = {}, private readonly top?: FakeDirectory) {}

  get total(): number {
    let sum = 0;
    for (const child of this.children.values()) sum += child instanceof FakeDirectory ? child.total : child.bytes.length;
    return sum;
  }

  /** All files below, by path. */
  tree(prefix = ""): Map<string, Uint8Array> {
    const found = new Map<string, Uint8Array>();
    for (const [name, child] of this.children) {
      if (child instanceof FakeDirectory) for (const [path, bytes] of child.tree(`${prefix}${name}/`)) found.set(path, bytes);
      else found.set(prefix + name, child.bytes);
    }
    return found;
  }

  handle(): FileSystemDirectoryHandle {
    return this as unknown as FileSystemDirectoryHandle;
  }

  async isSameEntry(other: unknown): Promise<boolean> {
    return other === this;
  }

  async *keys(): AsyncIterable<string> {
    yield* this.children.keys();
  }

  async getDirectoryHandle(name: string, { create = false } = {}): Promise<FakeDirectory> {
    let child = this.children.get(name);
    if (!child) {
      if (!create) throw new DOMException(name, "NotFoundError");
      this.children.set(name, (child = new FakeDirectory(name, this.options, this.top ?? this)));
    }
    if (!(child instanceof FakeDirectory)) throw new DOMException(name, "TypeMismatchError");
    return child;
  }

  async getFileHandle(name: string, { create = false } = {}): Promise<unknown> {
    let child = this.children.get(name);
    if (!child) {
      if (!create) throw new DOMException(name, "NotFoundError");
      this.children.set(name, (child = new Node()));
    }
    const node = child as Node;
    const top = this.top ?? this;
    const quota = this.options.quota ?? Infinity;
    const resize = (size: number): void => {
      if (size > node.bytes.length && top.total - node.bytes.length + size > quota) throw new DOMException("", "QuotaExceededError");
      const next = new Uint8Array(size);
      next.set(node.bytes.subarray(0, size));
      node.bytes = next;
    };
    const writeAt = (bytes: Uint8Array, at: number): number => {
      if (at + bytes.length > node.bytes.length) resize(at + bytes.length);
      node.bytes.set(bytes, at);
      return bytes.length;
    };
    return {
      kind: "file",
      name,
      getFile: async () => new File([node.bytes as Uint8Array<ArrayBuffer>], name),
      createWritable: async () => {
        // As in a browser, nothing shows in the file before close.
        const pieces: Uint8Array[] = [];
        return {
          write: async (bytes: Uint8Array) => void pieces.push(bytes.slice()),
          close: async () => {
            node.bytes = new Uint8Array(0);
            let at = 0;
            for (const piece of pieces) at += writeAt(piece, at);
          },
          abort: async () => undefined,
        };
      },
      ...(this.options.sync && {
        createSyncAccessHandle: async () => ({
          // Short writes are allowed by the interface, so this one makes them.
          write: (bytes: Uint8Array, { at = 0 } = {}) => writeAt(bytes.subarray(0, Math.max(1, Math.min(bytes.length, 1000))), at),
          read: (into: Uint8Array, { at = 0 } = {}) => {
            const part = node.bytes.subarray(at, at + into.length);
            into.set(part);
            return part.length;
          },
          truncate: resize,
          getSize: () => node.bytes.length,
          flush: () => undefined,
          close: () => undefined,
        }),
      }),
    };
  }

  async removeEntry(name: string, { recursive = false } = {}): Promise<void> {
    const child = this.children.get(name);
    if (!child) throw new DOMException(name, "NotFoundError");
    if (child instanceof FakeDirectory && child.children.size > 0 && !recursive) throw new DOMException(name, "InvalidModificationError");
    this.children.delete(name);
  }
}
