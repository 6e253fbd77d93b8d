import { StudioError } from "../core/errors";

const CODES = 65536;
/** Counts up to here are tallied in an array, larger ones, of which there are few, in a map. */
const SMALL = 4096;

export interface MutualInformationOptions {
  /** Categories are so many bins of equal share in place of single values. */
  bins?: number | undefined;
}

/**
 * Mutual information of two lists of bf16 values, paired by position, as a plug-in estimate in nats:
 *   I = sum over pairs of n_xy / N * ln(N n_xy / (n_x n_y))
 * Every distinct value is a category, -0 and 0 one; with `bins` a value's category is floor(B (less + equal / 2) / N), where
 * `less` and `equal` count the values of its own list below it and equal to it. Never below 0; 0 for empty lists.
 * Exact counts make it a sum of k ln k over distinct counts k with whole coefficients, so the order of the pairs changes no bit.
 * Throws "bad-request" for lists of different lengths and for NaN, whose position is in the details.
 * Source: sklearn.metrics.mutual_info_score on flattened activations, METHODS 7 (arXiv 2505.14009).
 */
export function mutualInformation(x: Uint16Array, y: Uint16Array, { bins }: MutualInformationOptions = {}): number {
  const N = x.length;
  if (y.length !== N) throw new StudioError("bad-request", `Measuring mutual information: the lists have ${N} and ${y.length} values; they must have the same length.`, { found: `${N} and ${y.length}` });
  if (N === 0) return 0;
  const cx = categories(x, bins);
  const cy = categories(y, bins);

  // One counting sort by x; then the values of y within one x are counted in a table that each of them clears again.
  const next = new Uint32Array(CODES);
  for (let c = 1; c < CODES; c++) next[c] = next[c - 1]! + cx.counts[c - 1]!;
  const partners = new Uint16Array(N);
  for (let i = 0; i < N; i++) partners[next[cx.of[x[i]!]!]!++] = cy.of[y[i]!]!;
  const tally = new Tally();
  tally.add(N, 1);
  const seen = new Uint32Array(CODES);
  let end = 0;
  for (let c = 0; c < CODES; c++) {
    const count = cx.counts[c]!;
    if (count > 0) tally.add(count, -1);
    if (cy.counts[c]! > 0) tally.add(cy.counts[c]!, -1);
    const first = end;
    end += count;
    for (let i = first; i < end; i++) seen[partners[i]!]!++;
    for (let i = first; i < end; i++) {
      const pairs = seen[partners[i]!]!;
      if (pairs === 0) continue;
      seen[partners[i]!] = 0;
      tally.add(pairs, 1);
    }
  }
  return Math.max(0, tally.sum() / N);
}

/** Category of each bf16 code, and how many values have each category. */
function categories(values: Uint16Array, bins: number | undefined): { of: Uint16Array; counts: Uint32Array } {
  const counts = new Uint32Array(CODES);
  for (let i = 0; i < values.length; i++) counts[values[i]!]!++;
  for (const sign of [0, 0x8000])
    for (let code = sign + 0x7f81; code < sign + 0x8000; code++)
      if (counts[code]! > 0) {
        const position = values.indexOf(code);
        throw new StudioError("bad-request", `Measuring mutual information: value ${position + 1} of ${values.length} is NaN. The model's weights overflow or hold NaN; check them.`, { title: "Activations that are no numbers", found: "NaN", position });
      }
  const of = new Uint16Array(CODES);
  for (let code = 0; code < CODES; code++) of[code] = code;
  of[0x8000] = 0;
  counts[0]! += counts[0x8000]!;
  counts[0x8000] = 0;
  if (bins === undefined) return { of, counts };

  const binned = new Uint32Array(CODES);
  let less = 0;
  const put = (code: number): void => {
    const equal = counts[code]!;
    if (equal === 0) return;
    of[code] = Math.min(bins - 1, Math.floor((bins * (less + equal / 2)) / values.length));
    binned[of[code]!]! += equal;
    less += equal;
  };
  // In the order of their values: negative codes grow away from zero.
  for (let code = 0xff80; code > 0x8000; code--) put(code);
  for (let code = 0; code <= 0x7f80; code++) put(code);
  of[0x8000] = of[0]!;
  return { of, counts: binned };
}

/** Sum of coefficient * k ln k over counts k, with exact coefficients and one order of terms. */
class Tally {
  private readonly small = new Int32Array(SMALL);
  private readonly large = new Map<number, number>();

  add(k: number, coefficient: number): void {
    if (k < SMALL) this.small[k]! += coefficient;
    else this.large.set(k, (this.large.get(k) ?? 0) + coefficient);
  }

  /** Compensated (Neumaier), by ascending k. */
  sum(): number {
    const terms: [k: number, coefficient: number][] = [];
    this.small.forEach((coefficient, k) => coefficient !== 0 && terms.push([k, coefficient]));
    terms.push(...[...this.large].sort((a, b) => a[0] - b[0]));
    let sum = 0;
    let lost = 0;
    for (const [k, coefficient] of terms) {
      const term = coefficient * k * Math.log(k);
      const next = sum + term;
      lost += Math.abs(sum) >= Math.abs(term) ? sum - next + term : term - next + sum;
      sum = next;
    }
    return sum + lost;
  }
}
