import type { CSSProperties, KeyboardEvent } from "react";
import type { SweepCell } from "../../state/sweepCells";
import { count, fixed, percent } from "../../ui/format";

export interface GridCell extends SweepCell {
  state: "waiting" | "working" | "done" | "failed";
  accuracy: number | undefined;
  tokens: number | undefined;
  /** The current recipe is this cell's. */
  picked: boolean;
  /** "Kept after trim 0.20, Scale 1.00". */
  place: string;
}

const moves: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** To the next finished cell in the direction of the arrow. */
function step(event: KeyboardEvent<HTMLElement>): void {
  const move = moves[event.key];
  const at = (event.target as HTMLElement).dataset.at;
  if (!move || at === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  let [row, column] = at.split(" ").map(Number) as [number, number];
  for (let tries = 0; tries < 6; tries++) {
    row += move[0];
    column += move[1];
    const next = event.currentTarget.querySelector<HTMLElement>(`button[data-at="${row} ${column}"]`);
    if (next) return next.focus();
  }
}

/** Step of the ramp: from the fewest right answers of the grid to the most. */
function shade(accuracy: number | undefined, all: readonly number[]): number {
  if (accuracy === undefined) return 0;
  const [low, high] = [Math.min(...all), Math.max(...all)];
  return high === low ? 2 : Math.round((3 * (accuracy - low)) / (high - low));
}

/** Accuracy over mean tokens of every recipe of the grid; a finished cell is a button that adopts it. */
export function SweepGrid({ columns, rows, cells, onAdopt, disabled }: { columns: string[]; rows: string[]; cells: GridCell[]; onAdopt: (key: string) => void; disabled: boolean }) {
  const found = cells.flatMap((c) => c.accuracy ?? []);
  return (
    // The arrow keys move between the buttons inside.
    // eslint-disable-next-line jsx-a11y/no-static-element-interactions
    <div className="sweepgrid" style={{ "--columns": columns.length } as CSSProperties} onKeyDown={step}>
      <span className="h" />
      {columns.map((value) => <span key={value} className="h">{value}</span>)}
      {rows.map((value, row) => [
        <span key={`row ${value}`}>{value}</span>,
        ...cells.filter((c) => c.row === row).map((cell) => {
          const at = `${cell.row} ${cell.column}`;
          if (cell.state !== "done") return <span key={at} className={`c wait ${cell.state}`} role="img" aria-label={`${cell.place}: ${{ waiting: "not answered yet", working: "answering now", failed: "failed" }[cell.state]}`}>{{ waiting: "·", working: "…", failed: "✕" }[cell.state]}</span>;
          const words = cell.accuracy === undefined ? `${count(cell.tokens)} tokens` : `${percent(cell.accuracy, 1)} right, ${fixed(cell.tokens, 1)} tokens`;
          return (
            <button key={at} type="button" data-at={at} className={`c q${shade(cell.accuracy, found)}${cell.picked ? " pick" : ""}`} aria-pressed={cell.picked} aria-label={`${cell.place}: ${words}. Adopt this recipe`} disabled={disabled} onClick={() => onAdopt(cell.key)}>
              {cell.accuracy === undefined ? count(cell.tokens) : percent(cell.accuracy, 1)}
              <small>{cell.accuracy === undefined ? "tokens" : fixed(cell.tokens, 1)}</small>
            </button>
          );
        }),
      ])}
    </div>
  );
}
