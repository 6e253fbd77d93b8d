import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { benchCases, makeInputs, tolerance, worstError } from "../../bench/cases";
import { measurePeak } from "../../bench/peak";
import { ours } from "../../bench/runners/ours";
import type { PackReport } from "../../bench/packMain";
import { nodeGpu } from "../../../src/cli/nodeGpu";
// @ts-expect-error plain JavaScript, run before packages exist
import { addBinding, buildBundle } from "../../bench/pack.mjs";

const runner = nodeGpu().then((gpu) => ours(gpu!));

describe("our side of the bench", () => {
  it("computes the gradient of a block as float64 does", async () => {
    const one = benchCases([]).find(({ op }) => op === "block")!;
    const inputs = makeInputs(one);
    const prepared = (await (await runner).prepare(one, inputs))!;
    // Twice: the second call must not add to the first.
    await prepared.run(2);
    expect(worstError(one, inputs, await prepared.output())).toBeLessThan(tolerance(one));
    await prepared.dispose();
  });

  it("measures a peak", async () => {
    expect(await measurePeak((await runner).gpu)).toBeGreaterThan(0);
  });
});

describe("the packed bench", () => {
  const folder = mkdtempSync(join(tmpdir(), "tributary-pack-test-"));
  beforeAll(async () => {
    await buildBundle(folder);
    addBinding(folder);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("runs from its own folder, without packages, and prints one JSON object", () => {
    expect(readdirSync(folder).sort()).toEqual(["bench.mjs", "dist", "start.mjs", "torch_fisher.py"]);
    const run = spawnSync(process.execPath, [join(folder, "start.mjs"), "--tiny", "--only", "kernels"], { cwd: folder, encoding: "utf8" });
    expect(run.stderr).toContain("forward 256x256 M=64");
    const report = JSON.parse(run.stdout) as PackReport;
    expect(report.kernels!.lines).toHaveLength(1);
    expect(report.kernels!.lines[0]!.worstError).toBeLessThan(1e-5);
    expect(run.status).toBe(0);
  });
});
