// npm run bench: our kernels against jax-js, tfjs-webgpu and onnxruntime-web on the adapter at hand, in Chromium and in Node.
//   --node --browser   only there (default: both, Chromium when one is installed; CHROMIUM_PATH names it)
//   --rows 64,512      rows of activations (512 against the slow ones takes minutes on a software adapter)
//   --rounds 5         timed rounds, libraries in turn
//   --filter forward   only cases whose name contains this
//   --peers jax-js,tfjs,onnxruntime   or none
//   --no-rates         leave out merge, selection, reading and upload
//   --json PATH        where the figures go (default: node_modules/.cache/tributary/bench.json)
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { cache, ensurePackages, fail, findChromium, root } from "../../src/cli/setup.mjs";

const { values } = parseArgs({
  allowNegative: true,
  options: {
    node: { type: "boolean" },
    browser: { type: "boolean" },
    rows: { type: "string", default: "64,512" },
    rounds: { type: "string", default: "5" },
    filter: { type: "string", default: "" },
    peers: { type: "string", default: "jax-js,tfjs,onnxruntime" },
    rates: { type: "boolean", default: true },
    json: { type: "string", default: join(cache, "bench.json") },
  },
});
ensurePackages();
const chromium = values.browser || !values.node ? findChromium() : undefined;
if (values.browser && !chromium) fail("No Chromium was found; install one, or name it with CHROMIUM_PATH.");
if (!chromium && !values.node) console.log("No Chromium was found; the bench runs in Node only.");
const version = (name) => JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8")).version;
const { createServer } = await import("vite");
const server = await createServer({ root, configFile: false, appType: "custom", logLevel: "error", server: { middlewareMode: true, hmr: false, ws: false, watch: null }, optimizeDeps: { noDiscovery: true } });
let code = 1;
try {
  const { main } = await server.ssrLoadModule("/tests/bench/bench.ts");
  code = await main({
    json: values.json, versions: { jax: version("@jax-js/jax"), tfjs: version("@tensorflow/tfjs-backend-webgpu"), onnx: version("onnxruntime-web") },
    node: values.node || !values.browser, chromium,
    rows: values.rows.split(",").map(Number), rounds: Number(values.rounds), filter: values.filter, peers: values.peers.split(","), rates: values.rates,
  });
} catch (error) {
  console.error(error.stack ?? String(error));
} finally {
  await server.close();
}
process.exit(code);
