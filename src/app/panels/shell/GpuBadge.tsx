import type { GpuInfo } from "../../../engine/api";

const words = { hardware: "hardware", software: "software, slow", none: "" } as const;
const classes = { hardware: "badge", software: "badge soft", none: "badge none" } as const;

/** Filled dot: hardware. Hollow dot, dashed border: software. Hollow square: none. */
export function GpuBadge({ gpu, onClick }: { gpu: GpuInfo; onClick?: () => void }) {
  const name = <><span className="dot8" />{gpu.state === "none" ? "No WebGPU" : gpu.name}</>;
  if (!onClick) return <span className={classes[gpu.state]}>{name}</span>;
  return <button type="button" className={classes[gpu.state]} onClick={onClick}>{name}{words[gpu.state] && <span className="long muted">{words[gpu.state]}</span>}</button>;
}
