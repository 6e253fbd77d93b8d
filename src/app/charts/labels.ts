/** Where a label stands beside its point: text anchor and baseline. */
export interface Placed {
  x: number;
  y: number;
  anchor: "start" | "middle" | "end";
}

export interface LabelPoint {
  x: number;
  y: number;
  text: string;
  /** Reach of the marker from its centre. */
  radius: number;
}

export interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const CHAR = 6.8;
const HEIGHT = 14;
const overlap = (a: Box, b: Box): number => Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) * Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));

/**
 * One place for each label: right of its point, left, above or below, whichever covers least of the other markers and the
 * labels placed before it, and of `lines` that are drawn, and stays inside. The order is that of importance.
 */
export function placeLabels(points: readonly LabelPoint[], plot: Box, lines: readonly Box[] = []): Placed[] {
  const markers = points.map((p): Box => ({ left: p.x - p.radius - 2, right: p.x + p.radius + 2, top: p.y - p.radius - 2, bottom: p.y + p.radius + 2 }));
  const taken: Box[] = [];
  return points.map((p, i) => {
    const width = p.text.length * CHAR;
    const gap = p.radius + 6;
    const choices: [Placed, Box][] = ([
      ["start", p.x + gap, p.y + 4], ["end", p.x - gap, p.y + 4], ["middle", p.x, p.y - gap], ["middle", p.x, p.y + gap + 10],
      ["start", p.x + gap, p.y + gap + 8], ["end", p.x - gap, p.y + gap + 8], ["start", p.x + gap, p.y - gap], ["end", p.x - gap, p.y - gap],
    ] as const).map(([anchor, x, y]) => {
      const left = anchor === "start" ? x : anchor === "end" ? x - width : x - width / 2;
      return [{ x, y, anchor }, { left, right: left + width, top: y - HEIGHT + 3, bottom: y + 3 }];
    });
    const cost = ([, box]: [Placed, Box]): number => {
      const outside = Math.max(0, plot.left - box.left) + Math.max(0, box.right - plot.right) + Math.max(0, plot.top - box.top) + Math.max(0, box.bottom - plot.bottom);
      return outside * 100 + [...markers.filter((_, k) => k !== i), ...taken, ...lines].reduce((sum, other) => sum + overlap(box, other), 0);
    };
    const best = choices.reduce((a, b) => (cost(b) < cost(a) - 1e-9 ? b : a));
    taken.push(best[1]);
    return best[0];
  });
}

/** Points nearer than `near` to each other, in groups, each in the order of the points. */
export function grouped(points: readonly { x: number; y: number }[], near: number): number[][] {
  const groups: number[][] = [];
  points.forEach((p, i) => {
    const group = groups.find((g) => g.some((k) => Math.hypot(points[k]!.x - p.x, points[k]!.y - p.y) < near));
    if (group) group.push(i);
    else groups.push([i]);
  });
  return groups;
}

/** Places at least `gap` apart, in the order of the wished ones and as near to them as going down from the topmost allows. */
export function spread(wished: readonly number[], gap: number, top: number, bottom: number): number[] {
  const order = wished.map((_, i) => i).sort((a, b) => wished[a]! - wished[b]! || a - b);
  const places = [...wished];
  let next = top;
  for (const i of order) {
    places[i] = Math.max(next, wished[i]!);
    next = places[i] + gap;
  }
  const over = Math.max(0, next - gap - bottom);
  return places.map((y) => y - over);
}

const MOST_CHARS = 26;

/** A name that fits beside a point: its beginning and its end. */
export const shortened = (name: string, most = MOST_CHARS): string => (name.length <= most ? name : `${name.slice(0, Math.ceil((most - 1) * 0.6))}…${name.slice(-Math.floor((most - 1) * 0.4))}`);

/** One label for points that lie on each other: each name once, with its notes. */
export function groupLabel(points: readonly { label: string; note?: string; progress?: string }[], most = MOST_CHARS): string {
  const notes = new Map<string, string[]>();
  for (const { label, note, progress } of points) notes.set(label, [...(notes.get(label) ?? []), ...[note, progress].filter((t) => t !== undefined)]);
  return [...notes].map(([name, of]) => `${shortened(name, most)}${of.length > 0 ? ` (${of.join(", ")})` : ""}`).join(", ");
}
