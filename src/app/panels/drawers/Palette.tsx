import { Dialog } from "radix-ui";
import { useState, type KeyboardEvent } from "react";
import { canOpen, STEPS, type StudioState } from "../../state";
import { useStudioStore } from "../../state/useStudio";
import { useFocusBack } from "../../ui/useFocusBack";

interface Command { label: string; hint?: string; run: () => void }

/** Every action of the studio by name. */
export function Palette({ onClose }: { onClose: () => void }) {
  const store = useStudioStore();
  const focusBack = useFocusBack();
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const terms = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = commands(store.getState()).filter(({ label }) => terms.every((term) => label.toLowerCase().includes(term)));
  const active = Math.min(at, found.length - 1);
  const choose = (command: Command | undefined): void => {
    if (!command) return;
    onClose();
    command.run();
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown") setAt(Math.min(active + 1, found.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(active - 1, 0));
    else if (event.key === "Enter") choose(found[active]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog.Root open onOpenChange={(open) => { if (!open) onClose(); }}>
      <Dialog.Portal>
        <Dialog.Overlay className="scrim" />
        <Dialog.Content className="palette" aria-describedby={undefined} onCloseAutoFocus={focusBack}>
          <Dialog.Title className="vh">Command palette</Dialog.Title>
          <input
            role="combobox" aria-label="Command" aria-expanded="true" aria-controls="commands" aria-activedescendant={found[active] ? `command-${active}` : undefined}
            value={query} onKeyDown={onKey} onChange={(event) => { setQuery(event.target.value); setAt(0); }}
          />
          <ul role="listbox" id="commands" aria-label="Commands">
            {found.map((command, i) => (
              // The keyboard is handled by the input, which keeps focus.
              // eslint-disable-next-line jsx-a11y/click-events-have-key-events
              <li key={command.label} id={`command-${i}`} role="option" aria-selected={i === active} onClick={() => choose(command)} onPointerMove={() => setAt(i)}>
                <span className="grow">{command.label}</span>{command.hint && <kbd>{command.hint}</kbd>}
              </li>
            ))}
          </ul>
          {found.length === 0 && <p className="small muted">No command has this name.</p>}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function commands(s: StudioState): Command[] {
  const list: Command[] = STEPS.flatMap(({ id, label }, i) => (canOpen(s, id) && id !== s.step ? [{ label: `Go to ${label}`, hint: String(i + 1), run: () => s.go(id) }] : []));
  list.push({ label: "Show the methods", run: () => s.openDrawer("methods") });
  if (s.recipe && s.measuring === undefined && canOpen(s, "shape")) list.push({ label: "Measure which layers matter", run: () => { s.go("shape"); void s.measure(); } });
  for (const jobId of Object.keys(s.running)) list.push({ label: `Cancel the running ${s.running[jobId]!.kind}`, run: () => void s.cancel(jobId) });
  if (s.recipe) {
    list.push({ label: "Undo a recipe change", hint: "Ctrl Z", run: s.undo }, { label: "Redo a recipe change", hint: "Ctrl Shift Z", run: s.redo }, { label: "Reset all options", run: s.resetAll });
    for (const method of s.methods) if (method.id !== s.recipe.method) list.push({ label: `Method: ${method.label}`, run: () => void s.setMethod(method.id) });
  }
  if (s.baseId !== undefined && s.modelIds.length > 0) list.push({ label: "Swap base and fine-tuned", run: s.swapRoles });
  list.push(
    ...(s.measuring === undefined && !s.trying && s.sampleRun?.state !== "running" ? [{ label: "Try with the sample pair", run: () => void s.runSample() }, { label: "Load and measure the sample pair", run: () => void s.loadSample() }] : []),
    { label: "Open run history", hint: "H", run: () => s.openDrawer("history") },
    { label: "Open storage", run: () => s.openDrawer("storage") },
    { label: "Open GPU", run: () => s.openDrawer("gpu") },
    { label: "Open network", run: () => s.openDrawer("network") },
    { label: "Open keyboard shortcuts", hint: "?", run: () => s.openDrawer("keys") },
    { label: "Theme: light", run: () => s.setTheme("light") },
    { label: "Theme: dark", run: () => s.setTheme("dark") },
    { label: "Theme: as the system", run: () => s.setTheme("system") },
  );
  return list;
}
