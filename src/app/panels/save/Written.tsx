import { useState } from "react";
import type { ExportReport, VerifyCheck } from "../../../engine/api";
import { saveBlob } from "../../charts/csv";
import { useStudio } from "../../state/useStudio";
import { bytes, plural, progressPercent } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Banner, Chip } from "../../ui/marks";
import { hashGroups, verdictOf } from "./saveModel";

const MARK: Record<VerifyCheck["verdict"], { tone: "ok" | "block" | "plain"; word: string }> = {
  pass: { tone: "ok", word: "Pass" },
  fail: { tone: "block", word: "Fail" },
  skipped: { tone: "plain", word: "Skipped" },
};

/** The report where the plan stood: verdict, every check with what was found, every file with its hash. */
export function Written({ report }: { report: ExportReport }) {
  const verdict = verdictOf(report);
  return (
    <>
      <Banner tone={verdict.tone} icon={verdict.tone === "ok" ? "check" : verdict.tone} lead={verdict.lead}>{verdict.sentence}</Banner>
      {report.staged && <Downloads report={report} safe={verdict.failed === 0} />}
      <section className="panel" aria-labelledby="done-checks">
        <div className="ph"><h2 id="done-checks">Verification</h2><span className="sub">after closing the files, from where they were written</span></div>
        <div className="tablewrap done-wrap">
          <table className="checks">
            <thead><tr><th scope="col">Check</th><th scope="col">Found</th><th scope="col">Verdict</th></tr></thead>
            <tbody>
              {report.checks.map((c) => (
                <tr key={c.id} className={c.verdict === "fail" ? "failed" : undefined}>
                  <td className="k">{c.label}</td>
                  <td>{c.found}</td>
                  <td><Chip tone={MARK[c.verdict].tone}>{MARK[c.verdict].word}</Chip></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
      <section className="panel" aria-labelledby="done-files">
        <div className="ph"><h2 id="done-files">Files</h2><span className="sub">SHA-256</span></div>
        <div className="tablewrap done-wrap">
          <table className="dense hashes">
            <thead className="vh"><tr><th scope="col">File</th><th scope="col">Size</th><th scope="col">SHA-256</th></tr></thead>
            <tbody>
              {report.files.map((f) => (
                <tr key={f.path}><td className="k"><code>{f.path}</code></td><td className="num">{bytes(f.bytes)}</td><td className="num hash" title={f.sha256}>{hashGroups(f.sha256)}</td></tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
    </>
  );
}

/** Staged files, each with its button; a .zip that was packed from them comes first. */
function Downloads({ report, safe }: { report: ExportReport; safe: boolean }) {
  const stagedFile = useStudio((s) => s.stagedFile);
  const [fetched, setFetched] = useState<ReadonlySet<string>>(new Set());
  const [busy, setBusy] = useState<string>();
  const used = useStudio((s) => s.adopted !== undefined && s.adopted.stageId === report.staged?.id);
  const downloaded = useStudio((s) => s.finished.find((f) => f.id === report.staged?.id)?.downloaded);
  const wasFetched = (path: string): boolean => fetched.has(path) || (downloaded?.includes(path) ?? false);
  const size = new Map(report.files.map((f) => [f.path, f.bytes]));
  const paths = [...(report.staged?.paths ?? [])].sort((a, b) => Number(size.has(a)) - Number(size.has(b)));
  const zips = paths.filter((p) => !size.has(p));
  const files = paths.filter((p) => size.has(p));
  const fetchOne = async (path: string): Promise<void> => {
    setBusy(path);
    const file = await stagedFile(path);
    if (file) {
      saveBlob(path.split("/").at(-1) ?? path, file);
      setFetched((before) => new Set(before).add(path));
    }
    setBusy(undefined);
  };
  const fetchAll = async (): Promise<void> => {
    for (const path of files) {
      await fetchOne(path);
      // Browsers drop downloads that start in the same instant.
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
  };
  return (
    <section className="panel" aria-labelledby="done-downloads">
      <div className="ph">
        <h2 id="done-downloads">Downloads</h2>
        <span className="sub">{!safe ? "a check failed; these files are here to be looked at, not to be used" : used ? "kept in this browser as a model; deleted with it" : "kept in this browser until all are downloaded and you start a new merge"}</span>
        {zips.length === 0 && <span className="acts"><button type="button" className="btn s" disabled={busy !== undefined} onClick={() => void fetchAll()}><Icon name="download" small />Download all {plural(files.length, "file")}</button></span>}
      </div>
      <div className="pb downloads">
        {[...zips, ...(zips.length > 0 ? [] : files)].map((path) => (
          <button key={path} type="button" className="btn s" disabled={busy !== undefined} onClick={() => void fetchOne(path)}>
            <Icon name={wasFetched(path) ? "check" : "download"} small />
            <code>{path}</code>
            {size.has(path) && <span className="muted">{bytes(size.get(path))}</span>}
            {wasFetched(path) && <span className="vh">, downloaded</span>}
          </button>
        ))}
      </div>
      {safe && zips.length === 0 && <UseAsInput report={report} used={used} />}
    </section>
  );
}

/** The staged files become a model of Load where they lie. */
function UseAsInput({ report, used }: { report: ExportReport; used: boolean }) {
  const adopt = useStudio((s) => s.useAsInput);
  const progress = useStudio((s) => Object.values(s.running).find((job) => job.kind === "ingest"));
  const [asked, setAsked] = useState(false);
  const run = (): void => {
    setAsked(true);
    void adopt().finally(() => setAsked(false));
  };
  return (
    <div className="pb use-input">
      <span className="grow">
        {used
          ? <><b>{report.name}</b> is on Load now, as base or fine-tuned. Its {bytes(report.totalBytes)} stay where they are; deleting it there deletes these files.</>
          : <>Merge it on: <b>{report.name}</b> becomes a model of Load, from these same files, without another copy.</>}
      </span>
      {used ? <Chip tone="ok">In the library</Chip> : <button type="button" className="btn s" disabled={asked} onClick={run}><Icon name="plus" small />{asked ? (progress ? `Reading and hashing, ${progressPercent(progress.fraction)}%` : "Reading the headers") : "Use as input"}</button>}
    </div>
  );
}
