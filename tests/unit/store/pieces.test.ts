import { expect, test } from "vitest";
import { CREDITS, inPieces, PIECE_BYTES, type PieceSink } from "../../../src/store/pieces";

/** A sink whose pieces stay until they are let go. */
function slowSink() {
  const waiting: { length: number; done(): void; fail(error: unknown): void }[] = [];
  const order: string[] = [];
  const sink: PieceSink = {
    put: (buffer, length) => {
      order.push(`put ${length}`);
      return new Promise((resolve, reject) => waiting.push({ length, done: () => resolve(buffer), fail: reject }));
    },
    flush: async () => (order.push("flush"), { bytes: 1 }),
    close: async () => (order.push("close"), "hash"),
  };
  return { sink, waiting, order };
}
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

test("at most so many pieces are on their way; the rest waits, and is told how long", async () => {
  const { sink, waiting, order } = slowSink();
  let waited = 0;
  const file = inPieces(sink, 10 * PIECE_BYTES, (ms) => (waited += ms));
  let written = false;
  const going = file.write(new Uint8Array((CREDITS + 1) * PIECE_BYTES)).then(() => (written = true));
  await turn();
  expect(waiting.map((w) => w.length)).toEqual(Array.from({ length: CREDITS }, () => PIECE_BYTES));
  expect(written).toBe(false);
  waiting[0]!.done();
  await going;
  expect(waited).toBeGreaterThan(0);
  expect(waiting).toHaveLength(CREDITS + 1);
  expect(order).not.toContain("flush");
});

test("small writes share a piece; a flush sends what there is before it asks for the flush", async () => {
  const { sink, waiting, order } = slowSink();
  const file = inPieces(sink, 100, () => undefined);
  for (let i = 0; i < 3; i++) await file.write(new Uint8Array(10));
  expect(order).toEqual([]);
  expect(await file.flush()).toEqual({ bytes: 1 });
  expect(order).toEqual(["put 30", "flush"]);
  waiting[0]!.done();
  expect(await file.close()).toBe("hash");
  expect(order).toEqual(["put 30", "flush", "close"]);
});

test("what a piece met on its way is thrown by the next call, also when that call waits for room", async () => {
  const { sink, waiting } = slowSink();
  const file = inPieces(sink, 10, () => undefined);
  const going = file.write(new Uint8Array(10 * (CREDITS + 1)));
  const wrong = expect(going).rejects.toThrow("disk");
  await turn();
  waiting[0]!.fail(new Error("disk"));
  await wrong;
  await expect(file.write(new Uint8Array(1))).rejects.toThrow("disk");
  await expect(file.flush()).rejects.toThrow("disk");
  await expect(file.close()).rejects.toThrow("disk");
});
