// Starts a terminal command (`npm run merge -- ...`): the engine's TypeScript and WGSL go through Vite's own loader.
import { ensurePackages, fail, root } from "./setup.mjs";

const [command, ...args] = process.argv.slice(2);
const COMMANDS = ["merge", "generate", "evaluate"];
if (!COMMANDS.includes(command)) fail(`Unknown command "${command ?? ""}"; there is ${COMMANDS.join(", ")}.`);
ensurePackages();
const { createServer } = await import("vite");
const server = await createServer({ root, configFile: false, appType: "custom", logLevel: "error", server: { middlewareMode: true, hmr: false, ws: false, watch: null }, optimizeDeps: { noDiscovery: true } });
let code = 1;
try {
  const { main } = await server.ssrLoadModule(`/src/cli/${command}.ts`);
  code = await main(args);
} catch (error) {
  console.error(error.stack ?? String(error));
} finally {
  await server.close();
}
process.exit(code);
