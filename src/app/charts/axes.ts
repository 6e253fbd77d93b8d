/**
 * Where an axis starts, ends and is labelled. Plain numbers in, plain numbers out; nothing here draws.
 * Ticks carry values, not pixels; labels are made by `numbers.ts`.
 */

export interface Axis {
  domain: [number, number];
  ticks: number[];
}

const known = (values: readonly (number | undefined)[]): number[] =>
  values.filter((v): v is number => v !== undefined && Number.isFinite(v));

/** Removes the dust that repeated additions leave: 0.15000000000000002 becomes 0.15. */
const clean = (value: number): number => Number(value.toPrecision(12));

/** Multiples of `step` in [low, high]. */
function multiples(low: number, high: number, step: number): number[] {
  const ticks: number[] = [];
  const first = Math.ceil(low / step - 1e-6);
  const last = Math.floor(high / step + 1e-6);
  for (let i = first; i <= last; i++) ticks.push(clean(i * step) + 0);
  return ticks;
}

const GRAIN = 0.05;
/** Room below the lowest reachable α, so that its dot does not sit on the axis. */
const FOOT = 0.02;

/**
 * Axis of the α chart: zoomed to what the method can reach, and grown to the next 0.05 where a value leaves that range.
 *   low  = reachable low - 0.02,           or the multiple of 0.05 below the lowest value, if that is lower
 *   high = next 0.05 above reachable high, or above the highest value, if that is higher
 * Without a reachable range the values alone decide, with at least 0.05 of room on both sides.
 */
export function alphaAxis(values: readonly (number | undefined)[], reachable?: readonly [number, number]): Axis {
  const all = known(values);
  const down = (v: number) => clean(Math.floor((v - 0.004) / GRAIN) * GRAIN);
  const up = (v: number) => clean(Math.ceil((v + 0.004) / GRAIN) * GRAIN);
  let low: number;
  let high: number;
  if (reachable) {
    low = clean(reachable[0] - FOOT);
    high = up(reachable[1]);
    const least = Math.min(...all, Infinity);
    const most = Math.max(...all, -Infinity);
    if (least < low) low = down(least);
    if (most > high) high = up(most);
  } else if (all.length > 0) {
    low = down(Math.min(...all));
    high = up(Math.max(...all));
  } else {
    [low, high] = [0, 1];
  }
  const span = high - low;
  const step = span <= 0.35 ? 0.05 : span <= 0.7 ? 0.1 : span <= 1.4 ? 0.2 : niceStep(span / 5);
  // The label of the upper end would touch the panel head.
  return { domain: [low, high], ticks: multiples(low, high, step).filter((t) => t < high - step / 4) };
}

/**
 * Whole decades around positive values: domain [10^floor(log10 min), 10^ceil(log10 max)], at least one decade.
 * Above `maxLabels` decades only every second, third ... is labelled, always with the upper end.
 */
export function decadeAxis(values: readonly (number | undefined)[], maxLabels = 6): Axis | undefined {
  const positive = known(values).filter((v) => v > 0);
  if (positive.length === 0) return undefined;
  let low = Math.floor(Math.log10(Math.min(...positive)) + 1e-9);
  const high = Math.ceil(Math.log10(Math.max(...positive)) - 1e-9);
  if (high <= low) low = high - 1;
  const every = Math.ceil((high - low + 1) / maxLabels);
  const ticks: number[] = [];
  for (let e = high; e >= low; e -= every) ticks.unshift(10 ** e);
  return { domain: [10 ** low, 10 ** high], ticks };
}

/** Lines between the decades of a log axis: 2 ... 9 times each power of ten. */
export function minorDecades([low, high]: readonly [number, number]): number[] {
  const lines: number[] = [];
  for (let e = Math.round(Math.log10(low)); e < Math.round(Math.log10(high)); e++) for (let k = 2; k < 10; k++) lines.push(k * 10 ** e);
  return lines;
}

/** The smallest of 1, 2, 5 times a power of ten that is not below `raw`. */
export function niceStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw));
  const ratio = raw / power;
  return power * (ratio <= 1 + 1e-9 ? 1 : ratio <= 2 + 1e-9 ? 2 : ratio <= 5 + 1e-9 ? 5 : 10);
}

/** Linear axis over the values, ends on multiples of a nice step, about `count` steps. `fromZero` for bars. */
export function linearAxis(values: readonly (number | undefined)[], options: { fromZero?: boolean; count?: number } = {}): Axis | undefined {
  const all = known(values);
  if (all.length === 0) return undefined;
  let low = Math.min(...all, options.fromZero ? 0 : Infinity);
  let high = Math.max(...all, options.fromZero ? 0 : -Infinity);
  if (low === high) {
    const room = low === 0 ? 1 : Math.abs(low) * 0.1;
    if (options.fromZero) high = room;
    else [low, high] = [low - room, high + room];
  }
  const step = niceStep((high - low) / (options.count ?? 5));
  const domain: [number, number] = [clean(Math.floor(low / step + 1e-9) * step) + 0, clean(Math.ceil(high / step - 1e-9) * step) + 0];
  return { domain, ticks: multiples(domain[0], domain[1], step) };
}

/** Ticks of the kept chart: the ends, the usual kept fraction, and halfway up the trimmed part. Plain quarters when r is near an end. */
export function keptTicks(kept: readonly (number | undefined)[]): number[] {
  const all = known(kept).sort((a, b) => a - b);
  const middle = all[Math.floor(all.length / 2)];
  if (middle === undefined || middle < 0.12 || middle > 0.76) return [0, 0.25, 0.5, 0.75, 1];
  const r = Math.round(middle * 100) / 100;
  return [0, r, clean((1 + r) / 2), 1];
}

/**
 * Layers that carry a label: 0, 4, 8 ... and the last. The step doubles while labels would touch, up to eight layers
 * are all labelled, and a tick that stands too near the last one makes room for it.
 */
export function layerTicks(layers: number, plotWidth: number): number[] {
  if (layers <= 0) return [];
  const band = plotWidth / layers;
  const last = layers - 1;
  let step = layers <= 8 ? 1 : 4;
  while (step * band < 24 && step < layers) step *= 2;
  const ticks: number[] = [];
  for (let l = 0; l < last; l += step) if (l === 0 || (last - l) * band >= 20) ticks.push(l);
  ticks.push(last);
  return ticks;
}

/** Runs of layers whose value is not known, as [first, last]. */
export function pendingRanges(values: readonly (number | undefined)[]): [number, number][] {
  const ranges: [number, number][] = [];
  values.forEach((value, layer) => {
    if (value !== undefined) return;
    const run = ranges.at(-1);
    if (run && run[1] === layer - 1) run[1] = layer;
    else ranges.push([layer, layer]);
  });
  return ranges;
}

/** Mean of what is known; undefined when nothing is. */
export function meanOf(values: readonly (number | undefined)[]): number | undefined {
  const all = known(values);
  return all.length === 0 ? undefined : all.reduce((a, b) => a + b, 0) / all.length;
}

/** Step 0 ... 6 of the sequential ramp for a value between the ends of its scale; undefined when it cannot be placed. */
export function rampStep(value: number | undefined, [low, high]: readonly [number, number], log: boolean): number | undefined {
  if (value === undefined || !Number.isFinite(value) || (log && value <= 0)) return undefined;
  const share = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return Math.max(0, Math.min(6, Math.floor(share * 7)));
}

/** How often a polyline, looked at every 4 pixels, lies in the box [x1, x2] × [y1, y2]: how badly a label there would collide. */
export function crossings(line: readonly { x: number; y: number }[], x1: number, x2: number, y1: number, y2: number): number {
  let hits = 0;
  for (let i = 0; i < line.length; i++) {
    const a = line[i]!;
    const b = line[i + 1] ?? a;
    for (let x = a.x; x <= b.x; x += 4) {
      const y = b.x > a.x ? a.y + ((b.y - a.y) * (x - a.x)) / (b.x - a.x) : a.y;
      if (x >= x1 && x <= x2 && y >= y1 && y <= y2) hits++;
    }
  }
  return hits;
}
