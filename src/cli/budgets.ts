import { StudioError } from "../core/errors";
import type { Budgets, Rates } from "../engine/api";

const UNITS: Record<string, number> = { "": 1, B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 };

/** "2GB", "512 MiB" or a plain number of bytes. Throws "bad-request" naming the flag. */
export function parseBytes(text: string, flag: string): number {
  const found = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const unit = found && UNITS[found[2]!.toUpperCase()];
  if (!found || !unit) throw new StudioError("bad-request", `--${flag} ${text}: expected bytes, as in 2GB, 512MB, 1.5GiB or 2147483648.`);
  return Math.floor(Number(found[1]) * unit);
}

/** The budgets that were given; the engine knows the others. */
export function parseBudgets(flags: Record<string, string[]>): Partial<Budgets> {
  const of = (flag: string): number | undefined => flags[flag] && parseBytes(flags[flag]![0]!, flag);
  const gpuBytes = of("gpu-budget");
  const hostBytes = of("host-budget");
  return { ...(gpuBytes === undefined ? {} : { gpuBytes }), ...(hostBytes === undefined ? {} : { hostBytes }) };
}

const RATES = { gpu: "gpuFlops", read: "readBytes", write: "writeBytes" } as const;

/** `--rate gpu=5e12`, `--rate read=1e9`, `--rate write=7e8`: operations and bytes per second. */
export function parseRates(pairs: readonly string[]): Rates {
  const rates: Rates = {};
  for (const pair of pairs) {
    const [key, text] = pair.split("=") as [string, string | undefined];
    const name = RATES[key as keyof typeof RATES];
    const value = Number(text);
    if (!name || !text || !(value > 0)) throw new StudioError("bad-request", `--rate ${pair}: expected gpu=, read= or write= and a number per second, as in read=1e9.`);
    rates[name] = value;
  }
  return rates;
}
