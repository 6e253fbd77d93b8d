import { describe, expect, test } from "vitest";
import type { Kernel } from "../../src/gpu/kernel";

const modules = import.meta.glob<Record<string, unknown>>("../../src/kernels/**/*.ts", { eager: true });
const shaders = import.meta.glob<string>("../../shaders/**/*.wgsl", { query: "?raw", import: "default", eager: true });

const isKernel = (value: unknown): value is Kernel => typeof value === "object" && value !== null && "code" in value && "workgroups" in value && "inputs" in value;
const kernels = Object.values(modules).flatMap((module) => Object.values(module).filter(isKernel));
const unique = [...new Map(kernels.map((kernel) => [kernel.name, kernel])).values()];

const withoutComments = (code: string): string => code.replace(/\/\/.*$/gm, "").replace(/\/\*[\s\S]*?\*\//g, "");
const camel = (name: string): string => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

interface Variable {
  binding: number;
  space: string;
  name: string;
  type: string;
}

/** Every `@group(0) @binding(n) var<...> name: type;` in binding order. */
function variables(code: string): Variable[] {
  const found = withoutComments(code).matchAll(/@group\(0\)\s*@binding\((\d+)\)\s*var<([^>]+)>\s*(\w+)\s*:\s*([^;]+);/g);
  return [...found].map(([, binding, space, name, type]) => ({ binding: Number(binding), space: space!.replace(/\s/g, ""), name: name!, type: type!.trim() })).sort((a, b) => a.binding - b.binding);
}

/** Members of a struct as [name, type], in order. */
function members(code: string, struct: string): [string, string][] {
  const body = new RegExp(`struct\\s+${struct}\\s*\\{([^}]*)\\}`).exec(withoutComments(code))?.[1] ?? "";
  return body.split(/[,;]/).map((part) => part.trim()).filter(Boolean).map((part) => part.split(":").map((side) => side.trim()) as [string, string]);
}

/** Names of the overrides, with whether they have a default. */
function overrides(code: string): Map<string, boolean> {
  return new Map([...withoutComments(code).matchAll(/\boverride\s+(\w+)\s*(?::\s*\w+\s*)?(=)?/g)].map(([, name, equals]) => [name!, equals !== undefined]));
}

test("kernels were found, and no name stands for two kernels", () => {
  expect(unique.length).toBeGreaterThan(5);
  for (const kernel of kernels) expect(unique.find((other) => other.name === kernel.name), kernel.name).toBe(kernel);
});

test("every shader outside lib belongs to a kernel", () => {
  const names = Object.keys(shaders).map((path) => path.replace("../../shaders/", "").replace(".wgsl", "")).filter((name) => !name.startsWith("lib/"));
  expect(names.filter((name) => !unique.some((kernel) => kernel.code.endsWith(shaders[`../../shaders/${name}.wgsl`]!)))).toEqual([]);
});

describe.each(unique.map((kernel) => [kernel.name, kernel] as const))("%s", (_, kernel) => {
  const found = variables(kernel.code);
  const storage = found.filter((variable) => variable.space.startsWith("storage"));

  test("buffers have the names, order and access of the shader", () => {
    expect(storage.filter((v) => v.space !== "storage,read_write").map((v) => v.name)).toEqual(kernel.inputs);
    expect(storage.filter((v) => v.space === "storage,read_write").map((v) => v.name)).toEqual(kernel.outputs);
    expect(found.map((v) => v.binding)).toEqual(found.map((_, i) => i));
    expect(storage.map((v) => v.name)).toEqual([...kernel.inputs, ...kernel.outputs]);
    expect(storage.length, "storage buffers that every adapter grants").toBeLessThanOrEqual(8);
  });

  test("params are the members of the uniform, 4 bytes each", () => {
    const uniforms = found.filter((v) => v.space === "uniform");
    const declared = Object.entries(kernel.params).map(([name, type]) => [camel(name), type]);
    expect(uniforms.map((v) => v.name)).toEqual(declared.length > 0 ? ["params"] : []);
    if (uniforms[0]) {
      expect(members(kernel.code, uniforms[0].type).map(([name, type]) => [camel(name), type])).toEqual(declared);
      expect(uniforms[0].binding, "the uniform comes last").toBe(storage.length);
    }
    if (kernel.splittable) expect(withoutComments(kernel.code)).toMatch(/params\.group0\b/);
  });

  test("constants are overrides of the shader, and none lacks a value", () => {
    const known = overrides(kernel.code);
    expect(Object.keys(kernel.constants).filter((name) => !known.has(name)), "not in the shader").toEqual([]);
    expect([...known].filter(([name, hasDefault]) => !hasDefault && !(name in kernel.constants)).map(([name]) => name), "without a value").toEqual([]);
  });

  test("the head of the shader lists every buffer under its binding number", () => {
    const listed = new Map([...kernel.code.matchAll(/^\/\/\s+(\d+)\s+(?:in|out|inout|in\/out)\s+(\w+)/gm)].map(([, binding, name]) => [Number(binding), name]));
    expect([...listed.entries()].sort((a, b) => a[0] - b[0])).toEqual(storage.map((v) => [v.binding, v.name]));
  });
});
