import { memo, useEffect, useRef } from "react";
import type { Column } from "./csv";
import { useLayerCursor } from "./cursor";

interface Props<Row> {
  columns: Column<Row>[];
  rows: Row[];
  rowKey(row: Row): string | number;
  layerOf(row: Row): number | undefined;
  label: string;
  height: number;
  /** Keep the cursor's row in view (tables with one row per layer). */
  follow?: boolean;
  /** Tighter, for many columns. */
  fine?: boolean;
}

/** The numbers of a chart as a table. The row of the layer under the cursor is tinted; a click on a row moves the cursor. */
export function TableTwin<Row>({ columns, rows, rowKey, layerOf, label, height, follow, fine }: Props<Row>) {
  const { layer, setLayer } = useLayerCursor();
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const wrap = box.current;
    const row = follow ? wrap?.querySelector<HTMLElement>("tbody tr.on") : null;
    if (!wrap || !row || wrap.contains(document.activeElement)) return;
    // Only this box scrolls: scrollIntoView would also move the page.
    wrap.scrollTop = row.offsetTop - (wrap.clientHeight - row.offsetHeight) / 2;
  }, [layer, follow, rows.length]);
  return (
    // Focusable, so that the keyboard can scroll it.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={fine ? "tablewrap twin fine" : "tablewrap twin"} ref={box} style={{ maxHeight: height }} tabIndex={0} role="region" aria-label={label}>
      <table className="dense">
        <thead>
          <tr>
            {columns.map((c) => (
              <th key={c.id} scope="col" className={c.text ? undefined : "num"}>
                {c.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <TwinRow key={rowKey(row)} row={row} columns={columns as Column<unknown>[]} on={layerOf(row) === layer} layer={layerOf(row)} setLayer={setLayer} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

// Moving the cursor re-renders two rows of the table, not all.
const TwinRow = memo(function TwinRow({ row, columns, on, layer, setLayer }: { row: unknown; columns: Column<unknown>[]; on: boolean; layer: number | undefined; setLayer(l: number): void }) {
  return (
    <tr className={on ? "on" : undefined} onPointerDown={layer === undefined ? undefined : () => setLayer(layer)}>
      {columns.map((c) => (
        <td key={c.id} className={c.text ? "k" : "num"}>
          {c.text ? <code>{c.show(row)}</code> : c.show(row)}
        </td>
      ))}
    </tr>
  );
});
