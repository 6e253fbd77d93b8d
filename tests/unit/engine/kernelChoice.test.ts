import { beforeEach, describe, expect, test } from "vitest";
import { adapterText, formsInUse, KernelChoices } from "../../../src/engine/kernelChoice";
import { PaperGpu } from "../../../src/engine/paperGpu";
import { everywhere, FORMED_KERNELS, formOf, HARDWARE_FORMS, useForms } from "../../../src/kernels/nn/forms";
import { memoryKeyValue } from "../../../src/store/keyValue";

const paper = (state: "hardware" | "software" = "hardware", architecture = "lovelace"): Promise<PaperGpu> => PaperGpu.on({ state, vendor: "nvidia", architecture, description: "" });

let kept: Map<string, unknown>;
beforeEach(() => {
  kept = new Map();
});
const choices = (browser = "Chrome 141"): KernelChoices => new KernelChoices(memoryKeyValue(kept), browser);

describe("hardware", () => {
  test("is measured once per adapter and browser version; the result is found again in another session", async () => {
    const gpu = await paper();
    const first = await choices().use(gpu);
    expect(first).toMatchObject({ source: "measured", adapter: "nvidia, lovelace" });
    expect(Object.keys(first.forms)).toEqual([...FORMED_KERNELS]);
    for (const { candidates } of first.tuned!.cases) expect(candidates.map((c) => c.id)).toEqual(HARDWARE_FORMS);
    expect(kept.size).toBe(1);

    const other = await paper();
    const before = other.dispatches;
    const second = await choices().use(other);
    expect(second).toEqual({ ...first, source: "stored" });
    expect(other.dispatches, "nothing was measured again").toBe(before);
    expect(formsInUse(other)).toEqual(formsInUse(gpu));

    expect((await choices("Chrome 142").use(await paper())).source).toBe("measured");
    expect((await choices().use(await paper("hardware", "ampere"))).source).toBe("measured");
    expect(kept.size).toBe(3);
  });

  test("what the store says is set on the device", async () => {
    await choices().use(await paper());
    const [key, result] = [...kept][0]! as [string, { cases: { kernel: string; shapeClass: string; chosen: string }[] }];
    kept.set(key, { ...result, cases: result.cases.map((c) => ({ ...c, chosen: c.shapeClass === "few rows" ? "32x32/8x8" : "register" })) });
    const gpu = await paper();
    const { forms } = await choices().use(gpu);
    expect(forms.fisher_tn).toEqual({ "few rows": "32x32/8x8", "many rows": "register" });
    expect([formOf(gpu, "gemm_nt", 64), formOf(gpu, "gemm_nt", 65)]).toEqual(["32x32/8x8", "register"]);
  });

  test.each([["of another version", { cases: [{ kernel: "gemm_nt", shapeClass: "few rows", chosen: "gone", candidates: [] }] }], ["no result at all", { cases: "none" }], ["nothing", undefined]])("a stored result that is %s is measured again", async (_, broken) => {
    await choices().use(await paper());
    kept.set([...kept.keys()][0]!, broken);
    expect((await choices().use(await paper())).source).toBe("measured");
  });

  test("a store that fails costs only the next start", async () => {
    const broken = { get: async () => Promise.reject(new Error("gone")), set: async () => Promise.reject(new Error("full")) };
    const both = new KernelChoices(broken, "Chrome 141");
    expect((await both.use(await paper())).source).toBe("measured");
    expect((await both.use(await paper())).source, "this session remembers").toBe("stored");
  });

  test("what would run is told without measuring", async () => {
    const gpu = await paper();
    expect(await choices().inUse(gpu.facts)).toEqual({ source: "default", forms: formsInUse(gpu) });
    const { forms } = await choices().use(gpu);
    expect(await choices().inUse(gpu.facts)).toEqual({ source: "stored", forms });
    const software = await paper("software");
    expect(await choices().inUse(software.facts)).toEqual({ source: "software", forms: formsInUse(software) });
  });
});

test("a software adapter has one form, and nothing is measured or kept", async () => {
  const gpu = await paper("software");
  useForms(gpu, everywhere("64x64/8x8"));
  const { source, forms } = await choices().use(gpu);
  expect(source).toBe("software");
  expect(new Set(Object.values(forms).flatMap((classes) => Object.values(classes)))).toEqual(new Set(["register"]));
  expect([kept.size, gpu.dispatches]).toEqual([0, 0]);
});

describe("a recipe that says how it ran", () => {
  test("is followed without a word on the same adapter", async () => {
    const [gpu, again] = [await paper(), await paper("hardware", "ampere")];
    useForms(gpu, { ...everywhere("register"), fisher_tn: { "few rows": "64x64/8x16" } });
    const record = { adapter: adapterText(gpu.facts), forms: formsInUse(gpu), panelBytes: 2 ** 27 };
    const same = await choices().use(await paper(), record);
    expect(same).toEqual({ adapter: record.adapter, forms: record.forms, source: "recipe" });
    const other = await choices().use(again, record);
    expect(other.forms).toEqual(record.forms);
    expect(other.note).toBe(`The recipe's run was made on nvidia, lovelace, this one is ${adapterText(again.facts)}: the same kernels run, but last bits may differ.`);
    expect(kept.size).toBe(0);
  });

  test("naming a form that is not there keeps the usual one and says so", async () => {
    const gpu = await paper();
    const { forms, note } = await choices().use(gpu, { adapter: adapterText(gpu.facts), forms: { gemm_nt: { "few rows": "128x128/1x1" } }, panelBytes: 1 });
    expect(forms.gemm_nt!["few rows"]).toBe(HARDWARE_FORMS[0]);
    expect(note).toContain("gemm_nt 128x128/1x1");
  });
});
