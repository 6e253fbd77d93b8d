import { afterEach, describe, expect, test } from "vitest";
import { blobFile, createBlobReader, readBlob, readBlobsThrough, readerCounts, streamBlob, type BlobReader } from "../../../src/store/blobFile";

/** Buffer.equals: element by element, a matcher needs seconds for a megabyte. */
const same = (got: Uint8Array, want: Uint8Array): boolean => Buffer.from(got).equals(want);
const bytes = (n: number): Uint8Array<ArrayBuffer> => Uint8Array.from({ length: n }, (_, i) => (i * 31) & 255);

test.each([0, 1, 65_536, 65_537, 1_000_003])("reads a Blob of %i bytes", async (n) => {
  expect(same(await readBlob(new Blob([bytes(n)])), bytes(n))).toBe(true);
});

test("fills the caller's array without detaching it", async () => {
  const into = new Uint8Array(300_000);
  const got = await blobFile("a", new File([bytes(500_000)], "a")).read(1000, 200_000, into);
  expect(got.buffer).toBe(into.buffer);
  expect(same(got, bytes(500_000).subarray(1000, 201_000))).toBe(true);
  expect(into.length).toBe(300_000);
});

test("refuses ranges beyond the file", async () => {
  await expect(blobFile("a.bin", new Blob([bytes(10)])).read(5, 6)).rejects.toMatchObject({ code: "bad-file", details: { where: "a.bin", found: "10 bytes" } });
});

test("says that the file changed when it cannot be read any more", async () => {
  const gone = Object.assign(new Blob([bytes(10)]), {});
  gone.slice = () => Object.assign(new Blob([bytes(2)]), { arrayBuffer: () => Promise.reject(new DOMException("", "NotReadableError")) });
  await expect(blobFile("a.bin", gone).read(0, 2)).rejects.toMatchObject({ code: "file-changed" });
});

/** A Blob whose stream gives `good` bytes and then nothing, for ever. */
function stuck(data: Uint8Array<ArrayBuffer>, good: number): Blob {
  const blob = new Blob([data]);
  const real = blob.slice.bind(blob);
  blob.slice = (from?: number, to?: number) => {
    const part = real(from, to);
    if (to === undefined) part.stream = () => new ReadableStream({ type: "bytes", start: (c) => c.enqueue(data.slice(0, good)) }) as ReadableStream<Uint8Array<ArrayBuffer>>;
    return part;
  };
  return blob;
}

test("goes on another way when a stream stalls, from where it stopped", async () => {
  const data = bytes(200_000);
  const got = new Uint8Array(data.length);
  const starts: number[] = [];
  await streamBlob(stuck(data, 70_000), (piece, at) => { got.set(piece, at); starts.push(at); }, { watchdogMs: 30 });
  expect(same(got, data)).toBe(true);
  expect(starts).toEqual([0, 70_000]);
});

test("works without BYOB streams", async () => {
  const blob = new Blob([bytes(200_000)]);
  const real = blob.slice.bind(blob);
  blob.slice = (from?: number, to?: number) => {
    const part = real(from, to);
    if (to === undefined) part.stream = () => new ReadableStream<Uint8Array<ArrayBuffer>>();
    return part;
  };
  expect(same(await readBlob(blob), bytes(200_000))).toBe(true);
});

test("stops when cancelled", async () => {
  const stop = new AbortController();
  const seen: number[] = [];
  const work = streamBlob(new Blob([new Uint8Array(9_000_000)]), (_, at) => { seen.push(at); stop.abort(); }, { signal: stop.signal });
  await expect(work).rejects.toMatchObject({ code: "cancelled" });
  expect(seen).toEqual([0]);
});

describe("through a reader in another thread", () => {
  /** As over a port: the buffer that is sent is gone, and another one arrives. */
  const transferring = (by: BlobReader): BlobReader & { buffers: number[] } => {
    const buffers: number[] = [];
    return { buffers, read: async (blob, buffer) => (buffers.push(buffer.byteLength), structuredClone(await by.read(blob, structuredClone(buffer, { transfer: [buffer] })))) };
  };
  afterEach(() => readBlobsThrough(undefined));

  test("the same bytes, into the caller's array, which keeps its buffer", async () => {
    const reader = transferring(createBlobReader());
    readBlobsThrough(reader);
    const before = { ...readerCounts };
    const blob = new Blob([bytes(9_000_001)]);
    const into = new Uint8Array(9_000_100);
    const got = await readBlob(blob, into);
    expect(got.buffer).toBe(into.buffer);
    expect(same(got, bytes(9_000_001))).toBe(true);
    expect(reader.buffers).toHaveLength(3);
    expect(readerCounts).toEqual({ reads: before.reads + 3, bytes: before.bytes + 9_000_001 });
    expect(same(await readBlob(new Blob([bytes(300)])), bytes(300))).toBe(true);
    expect(reader.buffers).toHaveLength(3); // small ones are read here
  });

  test("a reader that fails is replaced by this thread, and a file that changed is still told", async () => {
    readBlobsThrough({ read: async () => Promise.reject(new Error("the worker is gone")) });
    expect(same(await readBlob(new Blob([bytes(200_000)])), bytes(200_000))).toBe(true);
    const gone = new Blob([bytes(200_000)]);
    const lost = new DOMException("changed", "NotReadableError");
    gone.slice = () => Object.assign(new Blob([bytes(200_000)]), { stream: () => { throw lost; }, slice: () => { throw lost; } });
    await expect(blobFile("a.bin", gone).read(0, 100_000)).rejects.toMatchObject({ code: "file-changed" });
  });
});
