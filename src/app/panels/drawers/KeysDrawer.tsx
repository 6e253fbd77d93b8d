import { Drawer } from "../../ui/Drawer";

const KEYS: [string[], string][] = [
  [["1", "…", "5"], "go to a step"],
  [["?"], "this list"],
  [["Ctrl", "K"], "command palette"],
  [["Esc"], "close, stop writing, leave a chart"],
  [["←", "→"], "move the layer cursor, all charts follow"],
  [["Home", "End"], "first, last layer"],
  [["Ctrl", "Z"], "undo a recipe change"],
  [["Ctrl", "Shift", "Z"], "redo"],
  [["T"], "table for the focused chart"],
  [["H"], "run history"],
  [["Ctrl", "Enter"], "run the step’s main action"],
];

export function KeysDrawer({ onClose }: { onClose: () => void }) {
  return (
    <Drawer title="Keyboard" onClose={onClose} footer={<span className="small muted">Letter and number keys rest while a text field has focus.</span>}>
      <table className="dense keys">
        <tbody>
          {KEYS.map(([keys, text]) => <tr key={text}><td>{keys.map((key) => (key === "…" ? " … " : <kbd key={key}>{key}</kbd>))}</td><td>{text}</td></tr>)}
        </tbody>
      </table>
    </Drawer>
  );
}
