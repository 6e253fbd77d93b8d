import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { create, globals } from "webgpu";
import type { EngineEnv } from "../engine/engine";
import { diskKeyValue } from "./diskKeyValue";

/** Where the SwiftShader driver lies beside an installed Chromium or Chrome. */
const SWIFTSHADER_ICDS = [
  "/usr/lib/chromium/vk_swiftshader_icd.json",
  "/usr/lib/chromium-browser/vk_swiftshader_icd.json",
  "/snap/chromium/current/usr/lib/chromium-browser/vk_swiftshader_icd.json",
  "/opt/google/chrome/vk_swiftshader_icd.json",
];

/** Kept for the life of the process: when the entry object is collected, Dawn takes its devices down with it and the process dies. */
const entries: GPU[] = [];
function entry(): GPU {
  const gpu = create([]);
  entries.push(gpu);
  return gpu;
}

/**
 * A WebGPU entry point in Node, on Dawn. Takes the machine's own driver first; when no adapter answers, points the
 * Vulkan loader at the SwiftShader that ships beside Chromium. Undefined when neither is there.
 * TRIBUTARY_SOFTWARE_GPU=1 goes straight to SwiftShader.
 */
export async function nodeGpu(): Promise<GPU | undefined> {
  Object.assign(globalThis, globals);
  // Dawn and the Vulkan loader print warnings of their own to stderr; they say nothing a reader can use.
  process.env.XDG_RUNTIME_DIR ??= "/tmp";
  const icd = SWIFTSHADER_ICDS.find((path) => existsSync(path));
  if (!process.env.TRIBUTARY_SOFTWARE_GPU) {
    const gpu = entry();
    if (await gpu.requestAdapter()) return gpu;
  }
  if (!icd || process.env.VK_ICD_FILENAMES) {
    const gpu = entry();
    return (await gpu.requestAdapter()) ? gpu : undefined;
  }
  process.env.VK_ICD_FILENAMES = icd;
  const gpu = entry();
  return (await gpu.requestAdapter()) ? gpu : undefined;
}

/** Where measured choices of kernels are kept between runs: a folder of the user's cache. */
export function nodeTuning(env: NodeJS.ProcessEnv = process.env): NonNullable<EngineEnv["tuning"]> {
  const cache = env.XDG_CACHE_HOME || env.LOCALAPPDATA || join(homedir(), process.platform === "darwin" ? "Library/Caches" : ".cache");
  return { store: diskKeyValue(join(cache, "tributary", "kernels")), browser: `Node ${process.versions.node.split(".")[0]!}` };
}
