import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { describe, expect, test } from "vitest";

/** Imports point up this list: a file uses its own folder and the folders above it. */
const ORDER = ["core", "formats", "text", "store", "gpu", "kernels", "model", "activations", "generate", "fisher", "merge", "analysis", "export", "evaluate", "engine", "worker", "cli", "app"];
/** Each package has one home. */
const HOMES: Record<string, RegExp> = {
  "idb-keyval": /^store\/keyValue\.ts$/,
  "client-zip": /^store\//,
  "hash-wasm": /^(store|export|formats|engine)\//,
  zustand: /^app\/state\//,
  zundo: /^app\/state\//,
  recharts: /^app\/charts\//,
  react: /^app\//,
  "react-dom": /^app\//,
  "radix-ui": /^app\//,
  webgpu: /^cli\//,
  "@huggingface/tokenizers": /^text\//,
  "@huggingface/jinja": /^text\//,
  yaml: /^formats\//,
};

const src = resolve(__dirname, "../../src");
const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((f) => /\.tsx?$/.test(f) && !f.endsWith(".d.ts")).map((f) => f.split(sep).join("/"));

function imports(file: string): { spec: string; typeOnly: boolean }[] {
  const text = readFileSync(join(src, file), "utf8");
  const found: { spec: string; typeOnly: boolean }[] = [];
  for (const match of text.matchAll(/(?:import|export)\s+(type\s+)?(?:[\w*{}\s,$]+?\s+from\s+)?["']([^"']+)["']/g)) found.push({ spec: match[2]!, typeOnly: match[1] !== undefined });
  for (const match of text.matchAll(/import\(\s*["']([^"']+)["']\s*\)/g)) found.push({ spec: match[1]!, typeOnly: false });
  return found;
}

describe("imports", () => {
  test("there are files in every folder that the order names", () => {
    for (const folder of ORDER) expect(files.some((f) => f.startsWith(`${folder}/`)), folder).toBe(true);
  });

  test("point up the list, and app sees only core, the worker client and the engine's types", () => {
    const wrong: string[] = [];
    for (const file of files) {
      const own = file.split("/")[0]!;
      for (const { spec, typeOnly } of imports(file)) {
        if (!spec.startsWith(".") || spec.endsWith("?raw") || spec.endsWith(".css")) continue;
        const target = relative(src, resolve(src, dirname(file), spec)).split(sep).join("/");
        if (target.startsWith("..")) continue;
        const folder = target.split("/")[0]!;
        if (folder === own) continue;
        if (ORDER.indexOf(folder) > ORDER.indexOf(own)) wrong.push(`${file} imports ${spec}`);
        if (own === "app" && !(folder === "core" || target === "worker/client" || (target === "engine/api" && typeOnly))) wrong.push(`${file} imports ${spec}${typeOnly ? "" : " (not as a type)"}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("keep each package in its home", () => {
    const wrong: string[] = [];
    for (const file of files)
      for (const { spec, typeOnly } of imports(file)) {
        const name = spec.startsWith("@") ? spec.split("/").slice(0, 2).join("/") : spec.split("/")[0]!;
        const home = HOMES[name];
        if (home && !home.test(file) && !typeOnly) wrong.push(`${file} imports ${spec}`);
      }
    expect(wrong).toEqual([]);
  });

  test("keep document, window, navigator and indexedDB out of the engine", () => {
    const wrong: string[] = [];
    for (const file of files) {
      const own = file.split("/")[0]!;
      if (["app", "worker", "store", "cli"].includes(own)) continue;
      const code = readFileSync(join(src, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "").replace(/(["'`])(?:\\.|(?!\1).)*\1/g, "");
      const match = /\b(document|window|navigator|indexedDB)\b\s*[.?(]/.exec(code);
      if (match) wrong.push(`${file}: ${match[1]}`);
    }
    expect(wrong).toEqual([]);
  });
});
