// npm run bench:generate: tokens per second of the sample pair's models on its problems, by batch size, with the engine in Node.
//   --problems 60      how many problems
//   --batch 1,8,16,32  sequences decoded together
//   --model long-cot   which of the pair: base or long-cot
import { parseArgs } from "node:util";
import { ensurePackages, root } from "../../src/cli/setup.mjs";

const { values } = parseArgs({ options: { problems: { type: "string", default: "60" }, batch: { type: "string", default: "1,8,16,32" }, model: { type: "string", default: "long-cot" } } });
ensurePackages();
const { createServer } = await import("vite");
const server = await createServer({ root, configFile: false, appType: "custom", logLevel: "error", server: { middlewareMode: true, hmr: false, ws: false, watch: null }, optimizeDeps: { noDiscovery: true } });
let code = 1;
try {
  const { main } = await server.ssrLoadModule("/tests/bench/generate.ts");
  code = await main({ problems: Number(values.problems), batches: values.batch.split(",").map(Number), model: values.model });
} catch (error) {
  console.error(error.stack ?? String(error));
} finally {
  await server.close();
}
process.exit(code);
