import type { PointerEvent, KeyboardEvent } from "react";
import { layerForKey, useLayerCursor } from "./cursor";

/**
 * The part of a chart that takes the pointer and the keys: a slider over the layers, laid on top of the drawing, so that
 * the drawing itself stays one image with one sentence. Hover and tap choose a layer; arrows, Home and End move it.
 */
export function LayerHit({ name, text, left, width, height }: { name: string; text: string; left: number; width: number; height: number }) {
  const cursor = useLayerCursor();
  const choose = (event: PointerEvent<HTMLDivElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    if (box.width > 0) cursor.setLayer(Math.floor(((event.clientX - box.left) / box.width) * cursor.layers));
  };
  const press = (event: KeyboardEvent<HTMLDivElement>) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const next = layerForKey(event.key, cursor);
    if (next === undefined) return;
    event.preventDefault();
    cursor.setLayer(next);
  };
  return (
    <div
      className="chart-hit"
      style={{ left, width, height }}
      role="slider"
      tabIndex={0}
      aria-label={`${name}, layer`}
      aria-orientation="horizontal"
      aria-valuemin={0}
      aria-valuemax={Math.max(0, cursor.layers - 1)}
      aria-valuenow={cursor.layer}
      aria-valuetext={text}
      onPointerMove={choose}
      onPointerDown={choose}
      onKeyDown={press}
    />
  );
}
