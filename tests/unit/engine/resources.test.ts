import { expect, test } from "vitest";
import type { Checkpoint, TensorInfo } from "../../../src/core/tensors";
import { Resources } from "../../../src/engine/resources";

const MIB = 1024 * 1024;

/** A model of three tensors of 6 MiB, each of whose reads takes so long. */
function model(milliseconds: number): { checkpoint: Checkpoint; reads: string[] } {
  const reads: string[] = [];
  const tensors = new Map(["a", "b", "c"].map((name): [string, TensorInfo] => [name, { name, dtype: "BF16", shape: [3 * MIB], elements: 3 * MIB, file: "", begin: 0, end: 6 * MIB }]));
  const checkpoint: Checkpoint = {
    name: "model", files: [], tensors, config: {}, metadata: {}, warnings: [], text: async () => undefined,
    read: async (name, offset, length) => {
      reads.push(`${name} ${offset / MIB} ${length / MIB}`);
      await new Promise((resolve) => setTimeout(resolve, milliseconds));
      return new Uint8Array(length);
    },
  };
  return { checkpoint, reads };
}

test("learns how fast a model is read from as little of it as can be timed, once", async () => {
  const resources = new Resources(undefined, { ingest: "copy", sliceElements: undefined, readAhead: undefined });
  expect(resources.seen.readBytes).toBeUndefined();
  const { checkpoint, reads } = model(30);
  await resources.learnReading(checkpoint);
  expect(reads).toEqual(["a 0 4", "a 4 2"]);
  expect(resources.seen.readBytes).toBeGreaterThan(0);
  expect(resources.seen.readBytes).toBeLessThan((6 * MIB) / 0.05);
  await resources.learnReading(checkpoint);
  expect(reads).toHaveLength(2);
});

test("of a model that is too small or fast to be timed nothing is said", async () => {
  const resources = new Resources(undefined, { ingest: "copy", sliceElements: undefined, readAhead: undefined });
  const { checkpoint, reads } = model(0);
  await resources.learnReading({ ...checkpoint, tensors: new Map([...checkpoint.tensors].slice(0, 1)) });
  expect(reads).toHaveLength(2);
  expect(resources.seen.readBytes).toBeUndefined();
});
