import { useState } from "react";
import { useFolders } from "../shell/Folders";
import { ErrorCards } from "../shell/ErrorCards";
import { useShallow, useStudio } from "../../state/useStudio";
import type { GpuInfo } from "../../../engine/api";
import { plural } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Role } from "../../ui/marks";
import { AddingChoice } from "./AddingChoice";
import { StoredModels } from "./StoredModels";
import { UnfinishedBanners } from "./UnfinishedBanners";

/** One sentence, one drop area, the sample pair. */
export function FirstScreen() {
  const { choose, over } = useFolders();
  return (
    <div className="work solo">
      <div className="center">
        <main className="main" id="main" tabIndex={-1}>
          <div className="hero">
            <h1>Merge two model checkpoints on your own GPU, and see why each layer gets its weight.</h1>
            <UnfinishedBanners />
            <ErrorCards />
            <section className={over ? "drop over" : "drop"} aria-label="Drop area">
              <div className="confluence">
                <div>
                  <div className="slot"><Role of="base" /><p>where the fine-tuned model started</p></div>
                  <div className="slot"><Role of="tuned" /><p>one or more; same layers, same widths</p></div>
                </div>
                <svg viewBox="0 0 300 156" preserveAspectRatio="none" aria-hidden="true">
                  <path className="w1" vectorEffect="non-scaling-stroke" d="M0 35C130 35 130 78 196 78" />
                  <path className="w2" vectorEffect="non-scaling-stroke" d="M0 121C130 121 130 78 196 78" />
                  <path className="w3" vectorEffect="non-scaling-stroke" d="M196 78H300" />
                </svg>
                <div className="slot out"><Role of="merged" /><p>a folder that loads in transformers, checked after writing</p></div>
              </div>
              <div className="row wrap choose">
                <button type="button" className="btn primary l" data-main-action onClick={() => choose()}><Icon name="folder" />Choose folders…</button>
                <span className="muted">or drop both folders anywhere on this page</span>
              </div>
              <AddingChoice />
            </section>
            <Sample />
            <StoredModels />
            <Facts />
          </div>
        </main>
      </div>
    </div>
  );
}

function Sample() {
  const [run, load] = useStudio(useShallow((s) => [s.runSample, s.loadSample]));
  const [asked, setAsked] = useState(false);
  const ask = (work: () => Promise<void>): void => {
    setAsked(true);
    void work().finally(() => setAsked(false));
  };
  return (
    <div className="panel sample">
      <div className="grow"><b>No models at hand?</b> Try the sample pair: a pocket calculator and its long-thinking version, two small models that come with this page. One click copies and measures them, then asks both and their merge 60 problems each. It took 20 s on two cores without a GPU.</div>
      <button type="button" className="btn" disabled={asked} onClick={() => ask(run)}>Try with the sample pair</button>
      <button type="button" className="btn ghost" disabled={asked} onClick={() => ask(load)}>Only load and measure</button>
    </div>
  );
}

function Facts() {
  const requests = useStudio((s) => s.requests);
  const gpu = useStudio((s) => s.gpu);
  return (
    <div className="facts3">
      <div><Icon name="shield" /><b>Stays on this machine</b><span>{plural(requests, "network request")} since the page loaded. The count in the top bar is live.</span></div>
      <div><Icon name="chip" /><GpuFact gpu={gpu} /></div>
      <div><Icon name="file" /><b>safetensors, one file or sharded</b><span>F32, F16, BF16. Fisher for Qwen2, Qwen3, Llama, Mistral; other families merge without it.</span></div>
    </div>
  );
}

function GpuFact({ gpu }: { gpu: GpuInfo | undefined }) {
  const openDrawer = useStudio((s) => s.openDrawer);
  if (!gpu) return <><b>Asking for a GPU</b><span>The adapter has not answered yet.</span></>;
  if (gpu.state === "none") return <><b>No WebGPU in this browser</b><span>Load, Check and methods without Fisher still work. <button type="button" className="link" onClick={() => openDrawer("gpu")}>How to turn it on</button></span></>;
  if (gpu.state === "software") return <><b>{gpu.name}, software GPU</b><span>All results are the same, only slower. The sample pair took 20 s on two cores; a model of a billion parameters would take hours.</span></>;
  return <><b>{gpu.name}, hardware GPU</b><span>Everything can run here. Limits are listed behind the badge above.</span></>;
}
