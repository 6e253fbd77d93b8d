// npm run bench:overlap: each stage of a pass and a merge alone, and each phase as a whole, in one run, in Node.
//   --shape 300mb      a generated pair of this shape (tiny, 300mb, 1.5b)
//   --layers 4         with this many blocks, and --vocab 8000 with this many tokens (default: those of the shape)
//   --samples 2        sequences of the Fisher pass
//   --tokens 16        tokens of each
//   --delay 0          milliseconds added to every read, for a slower disk
//   --json PATH        where the figures go (default: node_modules/.cache/tributary/overlap.json)
import { join } from "node:path";
import { parseArgs } from "node:util";
import { cache, ensurePackages, root } from "../../src/cli/setup.mjs";

const { values } = parseArgs({
  options: {
    shape: { type: "string", default: "300mb" }, layers: { type: "string" }, vocab: { type: "string" }, samples: { type: "string", default: "2" }, tokens: { type: "string", default: "16" },
    delay: { type: "string", default: "0" }, json: { type: "string", default: join(cache, "overlap.json") },
  },
});
ensurePackages();
const { createServer } = await import("vite");
const server = await createServer({ root, configFile: false, appType: "custom", logLevel: "error", server: { middlewareMode: true, hmr: false, ws: false, watch: null }, optimizeDeps: { noDiscovery: true } });
let code = 1;
try {
  const { main } = await server.ssrLoadModule("/tests/bench/overlap.ts");
  code = await main({ shape: values.shape, layers: values.layers && Number(values.layers), vocab: values.vocab && Number(values.vocab), samples: Number(values.samples), tokens: Number(values.tokens), delay: Number(values.delay), json: values.json });
} catch (error) {
  console.error(error.stack ?? String(error));
} finally {
  await server.close();
}
process.exit(code);
