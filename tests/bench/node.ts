import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { nodeGpu } from "../../src/cli/nodeGpu";
import { gbPerSecond, medianMs, PIECE, type Rate } from "./rates";
import { describeRate, runBench, type PeerLoader, type RunOptions, type RunReport, type Versions } from "./runBench";

/** Bytes of the file that reads are timed on. */
export const FILE_BYTES = 256 << 20;

export const host = (): { cpu: string; cores: number; node: string } => ({ cpu: cpus()[0]?.model ?? "", cores: cpus().length, node: process.versions.node });

/** The libraries that run without a browser; the gradients of tfjs load only through a bundler. onnxruntime-web's WebGPU does not: its session fails on Dawn's Node binding. */
const peers = (versions: Versions): PeerLoader[] => [
  { name: "jax-js", load: async () => (await import("./runners/jaxJs")).jaxJs(versions.jax) },
  { name: "tfjs", load: async () => (await import("./runners/tfjs")).tfjs(versions.tfjs, false) },
  { name: "onnxruntime", load: () => Promise.reject(new Error("its WebGPU provider runs in browsers only")) },
];

const clock = {
  cpuSeconds: async (): Promise<number> => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  },
};

/** The bench in this process, on Dawn. Throws when no adapter answers. */
export async function benchInNode(options: RunOptions, versions: Versions, log: (line: string) => void): Promise<RunReport> {
  const entry = await nodeGpu();
  if (!entry) throw new Error("No WebGPU adapter answers; the bench needs one.");
  Object.defineProperty(globalThis, "navigator", { value: { gpu: entry, userAgent: "node", hardwareConcurrency: cpus().length }, configurable: true });
  const report = await runBench(entry, `Node ${process.versions.node}`, options, peers(versions), clock, log);
  if (options.rates) {
    const read = await fileRate();
    report.rates.push(read);
    log(describeRate(read));
  }
  return report;
}

/** A file just written, so mostly in the page cache: what the read path costs, not the disk. */
async function fileRate(): Promise<Rate> {
  const folder = await mkdtemp(join(tmpdir(), "tributary-bench-"));
  try {
    const path = join(folder, "file");
    await writeFile(path, new Uint8Array(FILE_BYTES).fill(1));
    const handle = await open(path, "r");
    const piece = new Uint8Array(PIECE);
    const ms = await medianMs(async () => {
      for (let at = 0; at < FILE_BYTES; at += PIECE) await handle.read(piece, 0, PIECE, at);
    });
    await handle.close();
    return gbPerSecond("read, Node file handle, 16 MiB", FILE_BYTES, ms, "cached by the system");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
