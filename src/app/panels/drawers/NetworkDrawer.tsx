import { useStudio } from "../../state/useStudio";
import { plural } from "../../ui/format";
import { Drawer } from "../../ui/Drawer";

/** What the count in the top bar counts, and what it has counted. */
export function NetworkDrawer({ onClose }: { onClose: () => void }) {
  const requests = useStudio((s) => s.requests);
  const names = useStudio((s) => s.requestNames);
  const others = names.filter((name) => !name.startsWith(location.origin));
  return (
    <Drawer title="Network" onClose={onClose} footer={<span className="small muted">The page's own rules (Content-Security-Policy) forbid it to reach any other address.</span>}>
      <dl className="facts wide"><dt>requests since the page loaded</dt><dd>{requests}</dd><dt>to other addresses, of those listed</dt><dd>{others.length}</dd></dl>
      <p className="small">Counted: every request this tab made after it had loaded, to any address. Later parts of the page and the sample files come from the server of the page and are counted. Not counted: the files of the first load, reads from memory and from this browser's storage, and the engine's worker, which starts from the page's own files and is handed everything else.</p>
      {names.length > 0 && (
        <div className="stack gap-1">
          <h3>{names.length < requests ? `The last ${names.length} of ${requests}` : plural(names.length, "request")}</h3>
          <ul className="small requests">{names.map((name, i) => <li key={i}><code>{name.startsWith(location.origin) ? name.slice(location.origin.length) : name}</code></li>)}</ul>
        </div>
      )}
    </Drawer>
  );
}
