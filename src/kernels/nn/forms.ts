import type { Gpu } from "../../gpu/gpu";

/** The kernels that exist in two forms, by the name of the register form's shader. */
export const FORMED_KERNELS = ["gemm_nt", "gemm_nn", "fisher_tn"] as const;
export type FormedKernel = (typeof FORMED_KERNELS)[number];

/** Override constants of the workgroup-memory form: a tile is GROUP_Y * ROWS by GROUP_X * COLUMNS, DEPTH deep. */
export interface Tile extends Record<string, number> {
  GROUP_X: number;
  GROUP_Y: number;
  ROWS: 4 | 8;
  COLUMNS: 4 | 8;
  DEPTH: number;
}

/**
 * Workgroup-memory tiles, named by result tile, then workgroup. All stay within 256 invocations and 16 KiB of
 * workgroup memory, the limits that every adapter grants.
 */
export const TILES = {
  "64x64/16x16": { GROUP_X: 16, GROUP_Y: 16, ROWS: 4, COLUMNS: 4, DEPTH: 16 },
  "64x64/8x16": { GROUP_X: 8, GROUP_Y: 16, ROWS: 4, COLUMNS: 8, DEPTH: 16 },
  "64x64/8x8": { GROUP_X: 8, GROUP_Y: 8, ROWS: 8, COLUMNS: 8, DEPTH: 8 },
  "32x32/8x8": { GROUP_X: 8, GROUP_Y: 8, ROWS: 4, COLUMNS: 4, DEPTH: 16 },
} as const satisfies Record<string, Tile>;

/** "register" is the form of software adapters: a 16 by 16 tile in registers, no workgroup memory. */
export type Form = "register" | keyof typeof TILES;
export const FORMS: readonly Form[] = ["register", ...(Object.keys(TILES) as (keyof typeof TILES)[])];

/** What an autotuner compares on hardware, at most four; the first is the choice where nothing was measured. */
export const HARDWARE_FORMS: readonly Form[] = ["64x64/16x16", "64x64/8x16", "64x64/8x8", "32x32/8x8"];

/** Rows of activations decide which tile keeps a GPU busy: at most 64 is one sequence, more is a batch. */
export type ShapeClass = "few rows" | "many rows";
export const shapeClass = (rows: number): ShapeClass => (rows <= 64 ? "few rows" : "many rows");

/** Chosen form by kernel and shape class, plain data. What is absent keeps the default. */
export type FormChoices = Partial<Record<FormedKernel, Partial<Record<ShapeClass, Form>>>>;

const choices = new WeakMap<Gpu, FormChoices>();

/** Sets the forms that kernel calls on this device take from now on; undefined goes back to the defaults. */
export function useForms(gpu: Gpu, chosen: FormChoices | undefined): void {
  if (chosen) choices.set(gpu, chosen);
  else choices.delete(gpu);
}

/** One form for every kernel and shape, as a test or a reproducible run asks for. */
export const everywhere = (form: Form): FormChoices =>
  Object.fromEntries(FORMED_KERNELS.map((kernel) => [kernel, { "few rows": form, "many rows": form }]));

/** The form of a call; forms differ in rounding only where the order of their sums does. */
export function formOf(gpu: Gpu, kernel: FormedKernel, rows: number): Form {
  return choices.get(gpu)?.[kernel]?.[shapeClass(rows)] ?? defaultForm(gpu.software);
}

/** The form where nothing was chosen. */
export const defaultForm = (software: boolean): Form => (software ? "register" : HARDWARE_FORMS[0]!);

/** Override constants of a tiled form, undefined for the register form. */
export const tileOf = (form: Form): Tile | undefined => (form === "register" ? undefined : TILES[form]);

/** Workgroups of a tiled kernel over a result of `rows` by `columns`. */
export const tileGroups = (rows: number, columns: number, c: Record<string, number>): number =>
  Math.ceil(rows / (c.GROUP_Y! * c.ROWS!)) * Math.ceil(columns / (c.GROUP_X! * c.COLUMNS!));
