import { expect, test } from "vitest";
import { memoryFile } from "../../../src/core/files";
import { combineHashes, createDigest, hashText, hashWeights } from "../../../src/store/hash";

test("XXH3-128 of nothing is the published value", async () => {
  expect(await hashText("")).toBe("99aa06d3014798d86001c324468d497f");
  expect((await createDigest()).finish()).toBe("99aa06d3014798d86001c324468d497f");
});

test("a model's hash is the hash of its chunks' hashes, weight files in path order", async () => {
  const a = Uint8Array.from({ length: 10 }, (_, i) => i);
  const b = Uint8Array.from({ length: 5 }, (_, i) => 100 + i);
  const digest = await createDigest();
  const hashOf = (part: Uint8Array): string => {
    digest.update(part);
    return digest.finish();
  };
  const want = await combineHashes([a.subarray(0, 4), a.subarray(4, 8), a.subarray(8), b.subarray(0, 4), b.subarray(4)].map(hashOf));
  const files = [memoryFile("b.safetensors", b), memoryFile("config.json", a), memoryFile("a.safetensors", a)];
  expect(await hashWeights(files, { chunkBytes: 4 })).toBe(want);
  const changed = a.slice();
  changed[9]! ^= 1;
  expect(await hashWeights([memoryFile("a.safetensors", changed), files[0]!], { chunkBytes: 4 })).not.toBe(want);
});
