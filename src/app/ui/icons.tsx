import type { ReactNode } from "react";

/** Outlines on a 16 px grid, stroked with the current colour. */
const shapes = {
  check: <path d="M3 8.5l3.2 3.2L13 5" />,
  trash: <path d="M2.8 4.4h10.4M6 4.2V2.4h4v1.8M4.2 4.6l.6 9h6.4l.6-9" />,
  chevronDown: <path d="M4 6l4 4.2L12 6" />,
  chevronRight: <path d="M6 3.5L10.5 8 6 12.5" />,
  close: <path d="M4 4l8 8M12 4l-8 8" />,
  clock: <><circle cx="8" cy="8" r="6.2" /><path d="M8 4.4V8l2.6 1.6" /></>,
  download: <path d="M8 2v8M4.6 7L8 10.4 11.4 7M2.5 13.5h11" />,
  pin: <path d="M6 1.8h4l-.6 4.4 2.4 2.3H4.2l2.4-2.3zM8 8.5v5.7" />,
  theme: <><circle cx="8" cy="8" r="6.2" /><path d="M8 1.8a6.2 6.2 0 010 12.4z" fill="currentColor" /></>,
  search: <><circle cx="7" cy="7" r="4.4" /><path d="M10.4 10.4l3.4 3.4" /></>,
  table: <><rect x="2" y="2.8" width="12" height="10.4" rx="1" /><path d="M2 6.4h12M2 9.8h12M6.4 6.4v6.8" /></>,
  warn: <><path d="M8 2.2L14.6 13.5H1.4z" /><path d="M8 6.6v3.2M8 11.8v.01" /></>,
  shield: <><path d="M8 1.8l5 1.8v4.2c0 3.2-2.2 5.2-5 6.4-2.8-1.2-5-3.2-5-6.4V3.6z" /><path d="M5.8 8l1.6 1.6 2.9-3" /></>,
  file: <><path d="M3.8 1.8h5l3.4 3.4v9H3.8z" /><path d="M8.6 1.8v3.6h3.6" /></>,
  storage: <><ellipse cx="8" cy="3.9" rx="5.4" ry="2.1" /><path d="M2.6 3.9v8.2c0 1.1 2.4 2.1 5.4 2.1s5.4-1 5.4-2.1V3.9M2.6 8c0 1.1 2.4 2.1 5.4 2.1s5.4-1 5.4-2.1" /></>,
  block: <><path d="M5.3 1.8h5.4l3.5 3.5v5.4l-3.5 3.5H5.3l-3.5-3.5V5.3z" /><path d="M8 4.8v3.8M8 10.9v.01" /></>,
  help: <><circle cx="8" cy="8" r="6.2" /><path d="M6.1 6.2a1.9 1.9 0 113 1.6c-.7.5-1.1.9-1.1 1.6M8 11.4v.01" /></>,
  copy: <><rect x="5.2" y="5.2" width="8.3" height="8.3" rx="1.2" /><path d="M10.6 5V2.8H2.6v8H5" /></>,
  info: <><circle cx="8" cy="8" r="6.2" /><path d="M8 7.4v3.4M8 5.1v.01" /></>,
  running: <path d="M8 1.8a6.2 6.2 0 106.2 6.2" />,
  undo: <><path d="M5.5 3L2.5 6l3 3" /><path d="M2.5 6h6.7a4 4 0 010 8H6.5" /></>,
  redo: <><path d="M10.5 3l3 3-3 3" /><path d="M13.5 6H6.8a4 4 0 000 8h2.7" /></>,
  bolt: <path d="M9 1.6L3.4 9h4.2L7 14.4 12.6 7H8.4z" />,
  swap: <><path d="M13.4 6.3A5.6 5.6 0 003 5M2.6 9.7A5.6 5.6 0 0013 11" /><path d="M13.6 2.8v3.5h-3.5M2.4 13.2V9.7h3.5" /></>,
  lock: <><rect x="3.2" y="7" width="9.6" height="6.5" rx="1.2" /><path d="M5.2 7V5a2.8 2.8 0 015.6 0v2" /></>,
  play: <path d="M5 3.2l7.6 4.8L5 12.8z" />,
  pause: <path d="M5.5 3.5v9M10.5 3.5v9" />,
  chip: <><rect x="4" y="4" width="8" height="8" rx="1" /><path d="M6.4 4V1.8M9.6 4V1.8M6.4 14.2V12M9.6 14.2V12M4 6.4H1.8M4 9.6H1.8M14.2 6.4H12M14.2 9.6H12" /></>,
  stop: <rect x="4" y="4" width="8" height="8" rx="1" />,
  plus: <path d="M8 3v10M3 8h10" />,
  edit: <path d="M10.6 2.8l2.6 2.6-7.8 7.8-3.2.6.6-3.2z" />,
  curve: <><path d="M2 12.5c5.5 0 5.5-9 12-9" /><circle cx="8" cy="8" r="1.6" /></>,
  folder: <path d="M1.8 12.4V3.8h4.4l1.5 1.8h6.5v6.8z" />,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof shapes;

/** `small` is 14 px. Decorative: the word beside it, or the button's label, carries the meaning. */
export function Icon({ name, small, className }: { name: IconName; small?: boolean; className?: string }) {
  return (
    <svg className={["ico", small ? "s" : "", className ?? ""].filter(Boolean).join(" ")} viewBox="0 0 16 16" aria-hidden="true">
      {shapes[name]}
    </svg>
  );
}
