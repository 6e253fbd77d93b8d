import { createContext, useContext, useMemo, type ReactNode } from "react";

export interface LayerCursor {
  layer: number;
  layers: number;
  setLayer(layer: number): void;
}

const Context = createContext<LayerCursor>({ layer: 0, layers: 0, setLayer: () => {} });

/** One layer under the cursor for every chart, the heat map, the tables and the readout inside it. */
export function CursorProvider({ layer, layers, setLayer, children }: LayerCursor & { children: ReactNode }) {
  const value = useMemo<LayerCursor>(() => {
    const clamp = (l: number) => Math.max(0, Math.min(layers - 1, l));
    return { layer: clamp(layer), layers, setLayer: (l) => setLayer(clamp(l)) };
  }, [layer, layers, setLayer]);
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

export const useLayerCursor = (): LayerCursor => useContext(Context);

/** The layer a key leads to; undefined for keys that do not move the cursor. */
export function layerForKey(key: string, { layer, layers }: Pick<LayerCursor, "layer" | "layers">): number | undefined {
  switch (key) {
    case "ArrowLeft":
    case "ArrowDown":
      return layer - 1;
    case "ArrowRight":
    case "ArrowUp":
      return layer + 1;
    case "PageDown":
      return layer - 4;
    case "PageUp":
      return layer + 4;
    case "Home":
      return 0;
    case "End":
      return layers - 1;
    default:
      return undefined;
  }
}
