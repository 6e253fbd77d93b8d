// What both commands of the README need before anything else runs: plain Node, no packages.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const cache = join(root, "node_modules", ".cache", "tributary");
const windows = process.platform === "win32";

/** Runs a command in the project folder, its output on this terminal. Returns the exit code. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit", shell: windows, ...options });
  return result.status ?? 1;
}

export function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}

export function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) fail(`Tributary needs Node 20.19 or newer; this is ${process.versions.node}. Install a newer Node and run the command again.`);
}

/** `npm ci` when the packages are missing or the lockfile is newer than what is installed. */
export function ensurePackages() {
  checkNode();
  const lock = join(root, "package-lock.json");
  const stamp = join(cache, "installed");
  const wanted = readFileSync(lock, "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === String(hash(wanted))) return;
  if (!(existsSync(join(root, "node_modules", ".package-lock.json")) && statSync(join(root, "node_modules", ".package-lock.json")).mtimeMs >= statSync(lock).mtimeMs)) {
    console.error("Installing packages (once)…");
    if (run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]) !== 0) fail("Installing the packages failed; the lines above say why. Check the network and run the command again.");
  }
  mkdirSync(cache, { recursive: true });
  writeFileSync(stamp, String(hash(wanted)));
}

function hash(text) {
  let h = 0;
  for (let i = 0; i < text.length; i++) h = (Math.imul(h, 31) + text.charCodeAt(i)) | 0;
  return h;
}

const CHROMIUMS = [
  "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/usr/bin/google-chrome-stable", "/snap/bin/chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe", "C:\\Program Files (x86)\\Google\\Chrome\\Application\\chrome.exe",
];

/** Path of an installed Chromium or Chrome, undefined when there is none. CHROMIUM_PATH wins. */
export function findChromium() {
  return [process.env.CHROMIUM_PATH, ...CHROMIUMS].find((path) => path && existsSync(path));
}

const hasVulkanLoader = () => ["/usr/lib/x86_64-linux-gnu/libvulkan.so.1", "/usr/lib/aarch64-linux-gnu/libvulkan.so.1", "/usr/lib64/libvulkan.so.1", "/usr/lib/libvulkan.so.1"].some(existsSync);

/** Chromium for the e2e tests and, on Linux, the Vulkan loader for Dawn. Debian and Ubuntu get both from apt. */
export function ensureChromium() {
  const linux = process.platform === "linux";
  if (findChromium() && (!linux || hasVulkanLoader())) return findChromium();
  if (linux && existsSync("/usr/bin/apt-get")) {
    console.log("Installing Chromium and the Vulkan loader with apt-get (once)…");
    const sudo = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
    const apt = (...args) => run([...sudo, "apt-get"][0], [...sudo, "apt-get", ...args].slice(1), { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
    apt("update", "-qq");
    apt("install", "-y", "-qq", "--no-install-recommends", "chromium", "libvulkan1");
  } else if (!findChromium()) {
    console.log("Installing Chromium with Playwright (once)…");
    run("npx", ["playwright", "install", "chromium"]);
  }
  return findChromium();
}
