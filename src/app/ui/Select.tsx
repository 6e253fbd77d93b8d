import { Icon } from "./icons";

export interface SelectOption {
  value: string;
  label: string;
  disabled?: boolean;
  /** Options of one group that follow each other stand under its name. */
  group?: string;
}

function grouped(options: readonly SelectOption[]): { group: string | undefined; list: SelectOption[] }[] {
  const groups: { group: string | undefined; list: SelectOption[] }[] = [];
  for (const option of options) {
    const last = groups.at(-1);
    if (last && last.group === option.group) last.list.push(option);
    else groups.push({ group: option.group, list: [option] });
  }
  return groups;
}

const item = (option: SelectOption) => <option key={option.value} value={option.value} disabled={option.disabled}>{option.label}</option>;

/** A native select in the studio's clothes: the platform's own list, keyboard and touch. */
export function Select({ value, options, onChange, label, small, width, disabled }: {
  value: string; options: readonly SelectOption[]; onChange: (value: string) => void; label: string; small?: boolean; width?: number | string; disabled?: boolean;
}) {
  return (
    <span className="selectbox" style={width === undefined ? undefined : { width }}>
      <select className={small ? "select xs" : "select"} aria-label={label} value={value} disabled={disabled} onChange={(event) => onChange(event.target.value)}>
        {grouped(options).map(({ group, list }) => (group === undefined ? list.map(item) : <optgroup key={group} label={group}>{list.map(item)}</optgroup>))}
      </select>
      <Icon name="chevronDown" small />
    </span>
  );
}
