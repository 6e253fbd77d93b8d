import { expect, test } from "vitest";
import { cancelled, StudioError, throwIfCancelled, toStudioError } from "../../../src/core/errors";
import { formatBytes, isModelFile } from "../../../src/core/modelFiles";

test("a StudioError stays itself; anything else becomes internal and keeps its cause", () => {
  const own = new StudioError("bad-file", "A sentence.", { where: "x" });
  expect(toStudioError(own)).toBe(own);
  const cause = new TypeError("no such thing");
  expect(toStudioError(cause)).toMatchObject({ name: "StudioError", code: "internal", message: "no such thing", cause });
  expect(toStudioError("text").message).toBe("text");
  expect(toStudioError(new Error("")).message).not.toBe("");
});

test("throwIfCancelled throws the reason when it is ours, and cancelled otherwise", () => {
  const controller = new AbortController();
  expect(() => throwIfCancelled(undefined)).not.toThrow();
  expect(() => throwIfCancelled(controller.signal)).not.toThrow();
  controller.abort();
  expect(() => throwIfCancelled(controller.signal)).toThrow(expect.objectContaining({ code: "cancelled" }));
  const reason = cancelled();
  expect(() => throwIfCancelled(AbortSignal.abort(reason))).toThrow(reason);
});

test("formatBytes in three digits", () => {
  expect([0, 812, 999, 1000, 7_104_000, 999_499, 999_500, 3_087_000_000, 15e12].map(formatBytes)).toEqual(["0 B", "812 B", "999 B", "1 kB", "7.1 MB", "999 kB", "1 MB", "3.09 GB", "15 TB"]);
});

test("which files of a folder matter", () => {
  const kept = ["config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "merges.txt", "README.md", "LICENSE", "chat_template.jinja", "generation_config.json"];
  const left = ["pytorch_model.bin", ".config.json", "onnx/config.json", "training_args.bin", "config.json.bak"];
  expect(kept.filter((p) => !isModelFile(p))).toEqual([]);
  expect(left.filter(isModelFile)).toEqual([]);
});
