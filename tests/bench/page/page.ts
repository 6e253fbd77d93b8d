import "@tensorflow/tfjs-core/dist/register_all_gradients";
import { jaxJs } from "../runners/jaxJs";
import { onnx } from "../runners/onnx";
import { tfjs } from "../runners/tfjs";
import { streamBlob } from "../../../src/store/blobFile";
import { gbPerSecond, medianMs, type Rate } from "../rates";
import { runBench, type RunOptions, type RunReport, type Versions } from "../runBench";
import type { OpfsTimes } from "./opfs.worker";

declare global {
  interface Window {
    /** CPU-seconds of the GPU process so far, null where the system does not tell. Given by the driver. */
    benchCpu(): Promise<number | null>;
    benchLog(line: string): Promise<void>;
    runBench(host: string, options: RunOptions, versions: Versions): Promise<RunReport>;
    readRates(): Promise<Rate[]>;
  }
}

window.runBench = (host, options, versions) =>
  runBench(
    navigator.gpu,
    host,
    options,
    [
      { name: "jax-js", load: () => jaxJs(versions.jax) },
      { name: "tfjs", load: () => tfjs(versions.tfjs, true) },
      { name: "onnxruntime", load: () => onnx(versions.onnx) },
    ],
    { cpuSeconds: async () => (await window.benchCpu()) ?? undefined },
    (line) => void window.benchLog(line),
  );

/** The file in the page's input, read as the library reads one; then the same number of bytes in the origin's own file system. */
window.readRates = async () => {
  const file = document.querySelector("input")!.files![0]!;
  const ms = await medianMs(() => streamBlob(file, () => undefined), 3);
  const rates = [gbPerSecond("read, File by BYOB", file.size, ms, "cached by the system")];
  const worker = new Worker(new URL("./opfs.worker.ts", import.meta.url), { type: "module" });
  const times = await new Promise<OpfsTimes>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<OpfsTimes>) => resolve(data);
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(file.size);
  });
  worker.terminate();
  return [...rates, gbPerSecond("read, OPFS access handle, 16 MiB", file.size, times.readMs), gbPerSecond("write, OPFS access handle, 16 MiB", file.size, times.writeMs, "flushed")];
};
