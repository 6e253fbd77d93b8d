/** A line without axes, for rows of a list and the model card. Unknown values leave a gap; a flat series is a flat line. */
export function Spark({ values, width = 72, height = 20 }: { values: readonly (number | undefined)[]; width?: number; height?: number }) {
  const known = values.filter((v): v is number => v !== undefined && Number.isFinite(v));
  if (known.length === 0) return null;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const x = (i: number) => 2 + (values.length > 1 ? (i / (values.length - 1)) * (width - 4) : (width - 4) / 2);
  const y = (v: number) => (high > low ? height - 2 - ((v - low) / (high - low)) * (height - 4) : height / 2);
  const runs: string[][] = [[]];
  values.forEach((v, i) => {
    if (v === undefined || !Number.isFinite(v)) runs.push([]);
    else runs.at(-1)!.push(`${x(i).toFixed(1)},${y(v).toFixed(1)}`);
  });
  return (
    <svg className="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      {runs.map((run, i) => (run.length === 1 ? <circle key={i} cx={run[0]!.split(",")[0]} cy={run[0]!.split(",")[1]} r={2} fill="var(--decided)" /> : run.length > 1 && <polyline key={i} className="line decided" points={run.join(" ")} />))}
    </svg>
  );
}
