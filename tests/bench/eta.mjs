// npm run bench:eta: how well the time left is told, on the sample pair, with the engine in Node.
//   --rounds 2         how often each job runs; the first run of a process compiles the kernels too
//   --shape 300mb      a generated pair of this shape too, measured and written with TIES
import { parseArgs } from "node:util";
import { ensurePackages, root } from "../../src/cli/setup.mjs";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "2" }, shape: { type: "string" } } });
ensurePackages();
const { createServer } = await import("vite");
const server = await createServer({ root, configFile: false, appType: "custom", logLevel: "error", server: { middlewareMode: true, hmr: false, ws: false, watch: null }, optimizeDeps: { noDiscovery: true } });
let code = 1;
try {
  const { main } = await server.ssrLoadModule("/tests/bench/eta.ts");
  code = await main({ rounds: Number(values.rounds), shape: values.shape });
} catch (error) {
  console.error(error.stack ?? String(error));
} finally {
  await server.close();
}
process.exit(code);
