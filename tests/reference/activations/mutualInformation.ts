import { bf16ToF32Bits } from "../../../src/formats/dtypes";

/** The value of a bf16, -0 as 0. */
const valueOf = (code: number): number => new Float32Array(Uint32Array.of(bf16ToF32Bits(code)).buffer)[0]! + 0;

/** Bins of equal share: floor(B (values below + half of those equal) / N). */
const binned = (values: number[], bins: number): number[] =>
  values.map((v) => Math.min(bins - 1, Math.floor((bins * (values.filter((w) => w < v).length + values.filter((w) => w === v).length / 2)) / values.length)));

/** sum over pairs of p(x,y) ln(p(x,y) / (p(x) p(y))) in float64, with maps of counts. */
export function mutualInformation(x: ArrayLike<number>, y: ArrayLike<number>, bins?: number): number {
  const lists = [Array.from(x, valueOf), Array.from(y, valueOf)].map((values) => (bins === undefined ? values : binned(values, bins))) as [number[], number[]];
  const [px, py, pxy] = [new Map<number, number>(), new Map<number, number>(), new Map<string, number>()];
  const count = <K>(map: Map<K, number>, key: K): Map<K, number> => map.set(key, (map.get(key) ?? 0) + 1);
  lists[0].forEach((a, i) => {
    count(px, a);
    count(py, lists[1][i]!);
    count(pxy, `${a} ${lists[1][i]}`);
  });
  const N = x.length;
  let sum = 0;
  for (const [key, n] of pxy) {
    const [a, b] = key.split(" ").map(Number) as [number, number];
    sum += (n / N) * Math.log((N * n) / (px.get(a)! * py.get(b)!));
  }
  return sum;
}
