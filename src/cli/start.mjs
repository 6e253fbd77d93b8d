// npm start: installs what is missing, builds, serves on localhost and opens the browser.
import { ensurePackages, fail, root } from "./setup.mjs";

ensurePackages();
const { build, preview } = await import("vite");
try {
  await build({ root, logLevel: "warn" });
} catch (error) {
  fail(`Building the studio failed: ${error.message}`);
}
const server = await preview({ root, logLevel: "warn", preview: { port: Number(process.env.PORT ?? 4173), host: "localhost", open: !process.env.CI && process.env.TRIBUTARY_OPEN !== "0" } });
console.log(`Tributary runs at ${server.resolvedUrls?.local[0] ?? "http://localhost:4173/"}  (Ctrl C stops it)`);
