// npm run bench:pack: one archive that runs the terminal part of the bench, and a merge of a generated pair, on a Linux
// machine with a Vulkan driver and nothing else: this Node, Dawn's binding, one bundle. No network, no packages.
//   --out FILE   default: node_modules/.cache/tributary/tributary-bench-linux-x64.tar.gz
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { cache, ensurePackages, fail, root } from "../../src/cli/setup.mjs";

/** An archive may be this large. */
const MAX_BYTES = 60 * 1024 * 1024;
const BINDING = join("dist", "linux-x64", "dawn.node");
/** Where distributions keep the Vulkan loader; it travels along for machines that have a driver but no loader. */
const LOADERS = ["/usr/lib/x86_64-linux-gnu/libvulkan.so.1", "/usr/lib64/libvulkan.so.1", "/usr/lib/libvulkan.so.1"];

const version = (name) => JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8")).version;

/** Builds bench.mjs, with every package in it, into `out`; start.mjs calls it, torch_fisher.py lies beside it. */
export async function buildBundle(out) {
  const { build } = await import("vite");
  await build({
    root, configFile: false, logLevel: "error", publicDir: false,
    ssr: { noExternal: true, target: "node" },
    build: { ssr: join(root, "tests/bench/packMain.ts"), outDir: out, emptyOutDir: true, target: "node20", minify: true, chunkSizeWarningLimit: 1e5, rollupOptions: { output: { entryFileNames: "bench.mjs", codeSplitting: false } } },
  });
  const versions = { jax: version("@jax-js/jax"), tfjs: version("@tensorflow/tfjs-backend-webgpu"), onnx: version("onnxruntime-web") };
  writeFileSync(join(out, "start.mjs"), `import { main } from "./bench.mjs";\nmain(process.argv.slice(2), import.meta.dirname, ${JSON.stringify(versions)}).then(\n  (code) => process.exit(code),\n  (error) => {\n    console.error(error.stack ?? String(error));\n    process.exit(1);\n  },\n);\n`);
  copyFileSync(join(root, "tests/bench/torch_fisher.py"), join(out, "torch_fisher.py"));
}

/** Dawn's binding for this machine, where the bundle looks for it. */
export function addBinding(out) {
  mkdirSync(dirname(join(out, BINDING)), { recursive: true });
  copyFileSync(join(root, "node_modules/webgpu", BINDING), join(out, BINDING));
}

const RUN = `#!/bin/sh
# Runs the bench: ./run.sh --help
here=$(cd "$(dirname "$0")" && pwd)
# The loader that came along serves where the system has none.
if ! { /sbin/ldconfig -p || ldconfig -p; } 2>/dev/null | grep -q libvulkan.so.1; then LD_LIBRARY_PATH="$here/lib\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"; export LD_LIBRARY_PATH; fi
exec "$here/node" "$here/start.mjs" "$@"
`;

async function main() {
  const { values } = parseArgs({ options: { out: { type: "string", default: join(cache, "tributary-bench-linux-x64.tar.gz") } } });
  if (process.platform !== "linux" || process.arch !== "x64") fail("The archive takes this machine's Node along; make it on Linux, x64.");
  ensurePackages();
  const folder = join(cache, "tributary-bench");
  rmSync(folder, { recursive: true, force: true });
  await buildBundle(folder);
  addBinding(folder);
  copyFileSync(process.execPath, join(folder, "node"));
  chmodSync(join(folder, "node"), 0o755);
  for (const file of ["node", BINDING]) spawnSync("strip", ["--strip-unneeded", join(folder, file)]);
  const loader = LOADERS.find(existsSync);
  if (loader) {
    mkdirSync(join(folder, "lib"));
    copyFileSync(loader, join(folder, "lib", "libvulkan.so.1"));
  }
  writeFileSync(join(folder, "run.sh"), RUN, { mode: 0o755 });
  const archive = resolve(values.out);
  const packed = spawnSync("tar", ["--owner=0", "--group=0", "-C", cache, "-cf", "-", "tributary-bench", "--use-compress-program", "gzip -9"], { maxBuffer: 1 << 30 });
  if (packed.status !== 0) fail(`tar failed: ${packed.stderr}`);
  writeFileSync(archive, packed.stdout);
  rmSync(folder, { recursive: true });
  const bytes = statSync(archive).size;
  console.log(`${(bytes / 2 ** 20).toFixed(1)} MiB: ${archive}\nUnpack it anywhere and run tributary-bench/run.sh (--help says what).`);
  if (bytes > MAX_BYTES) fail(`The archive is larger than ${MAX_BYTES / 2 ** 20} MiB.`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
