import type { ReactNode } from "react";
import { ErrorCards } from "../panels/shell/ErrorCards";
import { ImportFindings } from "../panels/shell/ImportFindings";
import { Peek } from "../panels/shell/Peek";
import { Rail } from "../panels/shell/Rail";
import { SampleRun } from "../panels/shell/SampleRun";

/**
 * The frame of one step: rail, scrolling main with its title, optional side panel, action bar at the foot.
 * `aside` stands right of the title (chips, segmented switch); `side` is the 320 px panel, given as the contents of
 * `.side` (side-head, side-body, side-foot); `peek` shows the checkpoints as one row where the rail is hidden.
 */
export function Shell({ title, intro, aside, side, sideLabel, peek = false, actions, children }: {
  title: ReactNode; intro?: ReactNode; aside?: ReactNode; side?: ReactNode; sideLabel?: string; peek?: boolean; actions: ReactNode; children: ReactNode;
}) {
  return (
    <div className={side ? "work with-side" : "work"}>
      <Rail />
      <div className="center">
        <main className="main" id="main" tabIndex={-1}>
          <div className="title">
            <div className="grow"><h1>{title}</h1>{intro !== undefined && <p>{intro}</p>}</div>
            {aside}
          </div>
          {peek && <Peek />}
          <SampleRun />
          <ErrorCards />
          <ImportFindings />
          {children}
        </main>
        {actions}
      </div>
      {side && <aside className="side" aria-label={sideLabel ?? "Options"}>{side}</aside>}
    </div>
  );
}
