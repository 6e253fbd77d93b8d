import { useId, type KeyboardEvent, type ReactNode } from "react";
import { Icon } from "../ui/icons";
import { saveText } from "./csv";

interface Props {
  title: string;
  sub?: string;
  legend?: ReactNode;
  /** Before the Table and CSV buttons. */
  tools?: ReactNode;
  table: boolean;
  onTable(open: boolean): void;
  /** File name and text, made when the button is pressed. */
  csv(): { name: string; text: string };
  /** Nothing to tabulate yet. */
  empty?: boolean;
  children: ReactNode;
}

/** Head of every chart: title, one line of words, legend, Table and CSV. `T` toggles the table while the focus is inside. */
export function ChartPanel({ title, sub, legend, tools, table, onTable, csv, empty, children }: Props) {
  const id = useId();
  const press = (event: KeyboardEvent) => {
    const target = event.target as HTMLElement;
    if (event.key.toLowerCase() !== "t" || event.ctrlKey || event.metaKey || event.altKey || empty) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return;
    event.preventDefault();
    event.stopPropagation();
    onTable(!table);
  };
  return (
    // The panel takes no input itself: keys reach it from the chart and the buttons inside.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
    <section className="panel chart-panel" aria-labelledby={id} onKeyDown={press}>
      <div className="ph">
        <h2 id={id}>{title}</h2>
        <span className="sub">{sub}</span>
        {legend}
        <span className="acts">
          {tools}
          <button type="button" className="btn icon s" aria-label={`${table ? "Hide" : "Show"} ${title} as table`} aria-expanded={table} disabled={empty} onClick={() => onTable(!table)}>
            <Icon name="table" small />
          </button>
          <button
            type="button"
            className="btn icon s"
            aria-label={`Save ${title} as CSV`}
            disabled={empty}
            onClick={() => {
              const file = csv();
              saveText(file.name, file.text);
            }}
          >
            <Icon name="download" small />
          </button>
        </span>
      </div>
      <div className="pb">{children}</div>
    </section>
  );
}
