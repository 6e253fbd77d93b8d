export interface MakeOptions {
  out: string;
  shape?: "1.5b" | "7b" | "300mb" | "tiny";
  side?: "base" | "partner";
  seed?: number;
  maxShardBytes?: number;
  headersOnly?: boolean;
  config?: Record<string, unknown>;
}
export const SHAPES: Readonly<Record<NonNullable<MakeOptions["shape"]>, Readonly<Record<string, unknown>>>>;
export function tensorsOf(config: Readonly<Record<string, unknown>>): { name: string; shape: number[]; elements: number }[];
export function makeCheckpoint(options: MakeOptions): { bytes: number; tensors: number; files: { path: string; bytes: number }[] };
