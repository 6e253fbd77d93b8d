import { describe, expect, test } from "vitest";
import type { Kernel } from "../../src/gpu/kernel";
import { TILES } from "../../src/kernels/nn/forms";

/** What every adapter grants a device that asks for no more. */
const LIMITS = { invocations: 256, workgroupBytes: 16_384, x: 256, y: 256, z: 64 };

const modules = import.meta.glob<Record<string, unknown>>("../../src/kernels/**/*.ts", { eager: true });
const isKernel = (value: unknown): value is Kernel => typeof value === "object" && value !== null && "code" in value && "workgroups" in value;
const kernels = [...new Set(Object.values(modules).flatMap((module) => Object.values(module).filter(isKernel)))];

type Names = Record<string, string>;

/** Value of a constant expression: numbers, names, + - * / and brackets. */
function evaluate(text: string, names: Names): number {
  let numbers = text.replace(/(\d)u\b/g, "$1");
  for (let depth = 0; /[A-Za-z_]/.test(numbers); depth++) {
    if (depth > 10) throw new Error(`cannot evaluate "${text}"`);
    numbers = numbers.replace(/[A-Za-z_]\w*/g, (name) => {
      const value = names[name];
      if (value === undefined) throw new Error(`"${name}" in "${text}" is not known`);
      return `(${value.replace(/(\d)u\b/g, "$1")})`;
    });
  }
  if (!/^[\d\s+*/().-]+$/.test(numbers)) throw new Error(`cannot evaluate "${text}"`);
  return Number(new Function(`return ${numbers};`)());
}

/** Bytes of a type in workgroup memory. */
function bytesOf(type: string, names: Names): number {
  const array = /^array<\s*(.+)\s*,\s*([^,>]+)>$/.exec(type.trim());
  if (array) return bytesOf(array[1]!, names) * evaluate(array[2]!, names);
  const atomic = /^atomic<(.+)>$/.exec(type.trim());
  if (atomic) return bytesOf(atomic[1]!, names);
  const vector = /^vec([234])/.exec(type.trim());
  if (vector) return vector[1] === "2" ? 8 : 16;
  if (/^(f32|u32|i32|bool)$/.test(type.trim())) return 4;
  throw new Error(`unknown type "${type}" in workgroup memory`);
}

interface Use {
  size: number[];
  workgroupBytes: number;
}

function useOf(code: string, constants: Record<string, number>): Use {
  const plain = code.replace(/\/\/.*$/gm, "");
  const names: Names = {};
  for (const [, name, value] of plain.matchAll(/\b(?:override|const)\s+(\w+)\s*(?::\s*\w+)?\s*=\s*([^;]+);/g)) names[name!] = value!.trim();
  for (const [name, value] of Object.entries(constants)) names[name] = String(value);
  const [, size] = /@workgroup_size\(([^)]*)\)/.exec(plain) ?? [];
  if (size === undefined) throw new Error("no entry point");
  const workgroupBytes = [...plain.matchAll(/var<workgroup>\s+\w+\s*:\s*([^;]+);/g)].reduce((sum, [, type]) => sum + bytesOf(type!, names), 0);
  return { size: size.split(",").filter((part) => part.trim()).map((part) => evaluate(part, names)), workgroupBytes };
}

const cases = kernels.flatMap((kernel) => ("DEPTH" in kernel.constants ? Object.entries(TILES) : [["", {}] as const]).map(([form, tile]) => [`${kernel.name} ${form}`.trim(), kernel, { ...kernel.constants, ...tile }] as const));

describe("limits that every adapter grants", () => {
  test("kernels and their forms were found", () => {
    expect(kernels.length).toBeGreaterThan(25);
    expect(cases.length).toBeGreaterThan(kernels.length + 6);
  });

  test.each(cases)("%s", (_, kernel, constants) => {
    const { size, workgroupBytes } = useOf(kernel.code, constants);
    const [x = 1, y = 1, z = 1] = size;
    expect(x * y * z).toBeGreaterThan(0);
    expect(x * y * z).toBeLessThanOrEqual(LIMITS.invocations);
    expect([x <= LIMITS.x, y <= LIMITS.y, z <= LIMITS.z]).toEqual([true, true, true]);
    expect(workgroupBytes).toBeLessThanOrEqual(LIMITS.workgroupBytes);
    expect(kernel.inputs.length + kernel.outputs.length).toBeLessThanOrEqual(8);
    expect(4 * Object.keys(kernel.params).length, "params in one slot of the uniform ring").toBeLessThanOrEqual(256);
    expect(kernel.code, "no feature is asked for").not.toMatch(/^\s*(enable|requires)\s/m);
  });

  test("what is too much is seen", () => {
    const shader = (group: string, words: string): string => `override N: u32 = 4u; const M = N * 2u; var<workgroup> a: array<vec4f, ${words}>; @compute @workgroup_size(${group}) fn main() {}`;
    expect(useOf(shader("N, 8", "M / 2u"), {})).toEqual({ size: [4, 8], workgroupBytes: 64 });
    expect(useOf(shader("N, 65", "M * 64u"), { N: 16 })).toEqual({ size: [16, 65], workgroupBytes: 32_768 });
    expect(() => useOf(shader("UNKNOWN", "1"), {})).toThrow(/not known/);
  });
});
