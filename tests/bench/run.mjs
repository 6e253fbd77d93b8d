// npm run bench: our kernels against jax-js and tfjs-webgpu, in Node on Dawn, on the adapter at hand.
//   --rows 64,512      rows of activations (512 against tfjs takes long on a software adapter)
//   --rounds 5         timed rounds, libraries in turn
//   --filter forward   only cases whose name contains this
//   --peers jax-js,tfjs   or none
//   --json PATH        where the figures go (default: node_modules/.cache/tributary/bench.json)
import { join } from "node:path";
import { parseArgs } from "node:util";
import { cache, ensurePackages, root } from "../../src/cli/setup.mjs";

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "64,512" },
    rounds: { type: "string", default: "5" },
    filter: { type: "string", default: "" },
    peers: { type: "string", default: "jax-js,tfjs" },
    json: { type: "string", default: join(cache, "bench.json") },
  },
});
ensurePackages();
const { createServer } = await import("vite");
const server = await createServer({ root, configFile: false, appType: "custom", logLevel: "error", server: { middlewareMode: true, hmr: false, ws: false, watch: null }, optimizeDeps: { noDiscovery: true } });
let code = 1;
try {
  const { main } = await server.ssrLoadModule("/tests/bench/bench.ts");
  code = await main({ ...values, rows: values.rows.split(",").map(Number), rounds: Number(values.rounds), peers: values.peers.split(",") });
} catch (error) {
  console.error(error.stack ?? String(error));
} finally {
  await server.close();
}
process.exit(code);
