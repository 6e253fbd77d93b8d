/** SHA-256 of a text or of the bytes of an array, in hexadecimal digits. */
export async function sha256(data: string | ArrayBufferView): Promise<string> {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : (data as ArrayBufferView<ArrayBuffer>);
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(digest), (b) => b.toString(16).padStart(2, "0")).join("");
}

/** Stands for a value that has no digest. */
const UNKNOWN = Symbol("no plain data");

async function canonical(value: unknown): Promise<unknown> {
  if (value === null || value === undefined || typeof value === "boolean") return String(value);
  // Every double has a text of its own, but for the zero below zero.
  if (typeof value === "number") return `n ${Object.is(value, -0) ? "-0" : value}`;
  if (typeof value === "string") return `s ${value}`;
  if (ArrayBuffer.isView(value)) return `${Object.prototype.toString.call(value)} ${value.byteLength} ${await sha256(value)}`;
  if (Array.isArray(value)) return all(value);
  if (typeof value !== "object" || Object.prototype.toString.call(value) !== "[object Object]") return UNKNOWN;
  const there = Object.entries(value).filter(([, v]) => v !== undefined).sort(([a], [b]) => (a < b ? -1 : 1));
  const values = await all(there.map(([, v]) => v as unknown));
  return values === UNKNOWN ? UNKNOWN : { keys: there.map(([key]) => key), values };
}

async function all(values: readonly unknown[]): Promise<unknown> {
  const found: unknown[] = [];
  for (const value of values) found.push(await canonical(value));
  return found.includes(UNKNOWN) ? UNKNOWN : found;
}

/**
 * SHA-256 of plain data: objects, whose keys may come in any order and are absent when undefined, lists, typed arrays by their
 * bytes, texts, numbers, booleans. Data that differ have digests that differ. Undefined when there is anything else in it.
 */
export async function dataDigest(data: unknown): Promise<string | undefined> {
  const found = await canonical(data);
  return found === UNKNOWN ? undefined : sha256(JSON.stringify(found));
}
