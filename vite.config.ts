import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// The page asks nothing of any other host: connect-src 'self' makes that checkable, wasm-unsafe-eval is for the hashes.
const csp =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; " +
  "connect-src 'self' blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'";

export default defineConfig({
  plugins: [react()],
  worker: { format: "es" },
  build: { target: "es2023", sourcemap: true },
  preview: { headers: { "Content-Security-Policy": csp } },
  test: {
    projects: [
      { test: { name: "unit", include: ["tests/unit/**/*.test.ts"], testTimeout: 30_000 } },
      {
        // Two workers, each one process for all its files: a software adapter spends most of its time compiling kernels, which takes one
        // core and is kept for the next file.
        test: { name: "gpu", include: ["tests/gpu/**/*.test.ts"], setupFiles: ["tests/support/gpuFile.ts"], testTimeout: 120_000, hookTimeout: 60_000, maxWorkers: 2, pool: "forks", isolate: false },
      },
    ],
  },
});
