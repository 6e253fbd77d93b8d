import { Icon } from "./icons";

/** A native select in the studio's clothes: the platform's own list, keyboard and touch. */
export function Select({ value, options, onChange, label, small, width, disabled }: {
  value: string; options: readonly { value: string; label: string; disabled?: boolean }[]; onChange: (value: string) => void; label: string; small?: boolean; width?: number | string; disabled?: boolean;
}) {
  return (
    <span className="selectbox" style={width === undefined ? undefined : { width }}>
      <select className={small ? "select xs" : "select"} aria-label={label} value={value} disabled={disabled} onChange={(event) => onChange(event.target.value)}>
        {options.map((option) => <option key={option.value} value={option.value} disabled={option.disabled}>{option.label}</option>)}
      </select>
      <Icon name="chevronDown" small />
    </span>
  );
}
