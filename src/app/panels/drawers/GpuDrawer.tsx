import { useStudio } from "../../state/useStudio";
import { mebibytes, bytes, count, UNKNOWN } from "../../ui/format";
import { Drawer } from "../../ui/Drawer";
import { Chip } from "../../ui/marks";
import { BudgetFields } from "./BudgetFields";
import { KernelFacts } from "./KernelFacts";
import { GpuBadge } from "../shell/GpuBadge";

export function GpuDrawer({ onClose }: { onClose: () => void }) {
  const gpu = useStudio((s) => s.gpu);
  const timings = useStudio((s) => s.measured);
  const gpuBytes = useStudio((s) => Object.values(s.running).find((job) => job.gpuBytes !== undefined)?.gpuBytes);
  return (
    <Drawer title="GPU" onClose={onClose} footer={<span className="small muted">Limits are the ones the adapter reports; Tributary asks for the defaults.</span>}>
      {!gpu && <p>The adapter has not answered yet.</p>}
      {gpu && (
        <>
          <div className="row">
            <GpuBadge gpu={gpu} />
            {gpu.state === "hardware" && <Chip tone="ok">hardware</Chip>}
            {gpu.state === "software" && <Chip tone="warn">software, slow</Chip>}
          </div>
          {gpu.state === "none" ? <NoGpu reason={gpu.reason} /> : (
            <>
              {gpu.state === "software" && <p className="small">All results are the same, only slower: every kernel runs on the processor. For a model of a billion parameters use a browser with a hardware adapter.</p>}
              <dl className="facts wide">
                <dt>vendor</dt><dd>{gpu.vendor || UNKNOWN}</dd>
                <dt>architecture</dt><dd>{gpu.architecture || UNKNOWN}</dd>
                {gpu.description && <><dt>description</dt><dd title={gpu.description}>{gpu.description}</dd></>}
                <dt>largest binding</dt><dd>{mebibytes(gpu.limits.maxStorageBufferBindingSize)}</dd>
                <dt>largest buffer</dt><dd>{mebibytes(gpu.limits.maxBufferSize)}</dd>
                <dt>workgroup storage</dt><dd>{mebibytes(gpu.limits.maxComputeWorkgroupStorageSize)}</dd>
                <dt>threads per workgroup</dt><dd>{count(gpu.limits.maxComputeInvocationsPerWorkgroup)}</dd>
                <dt>storage buffers per stage</dt><dd>{count(gpu.limits.maxStorageBuffersPerShaderStage)}</dd>
                <dt>shader-f16</dt><dd>{gpu.features.includes("shader-f16") ? "yes, not needed" : "no, not needed"}</dd>
                <dt>subgroups</dt><dd>{gpu.features.includes("subgroups") ? "yes" : "no"}</dd>
                {gpuBytes !== undefined && <><dt>in use by this page</dt><dd>{bytes(gpuBytes)}</dd></>}
                {timings && <><dt>last pass ran on</dt><dd title={timings.adapter}>{timings.adapter}</dd></>}
              </dl>
              <KernelFacts />
              <BudgetFields />
            </>
          )}
        </>
      )}
    </Drawer>
  );
}

/** What still works without WebGPU, and how to get it. */
export function NoGpu({ reason }: { reason: string | undefined }) {
  return (
    <>
      <p className="small">{reason ?? "This browser offers no WebGPU adapter."}</p>
      <div className="stack gap-1 small">
        <b>What still works</b>
        <p>Load and Check, and every method that needs no Fisher pass. They run on the processor.</p>
      </div>
      <div className="stack gap-1 small">
        <b>How to turn WebGPU on</b>
        <p>Chrome, Edge: open <code>chrome://gpu</code> and see whether WebGPU is on; on Linux start with <code>--enable-unsafe-webgpu --enable-features=Vulkan</code>.</p>
        <p>Safari: version 26 or later. Firefox: version 141 or later on Windows, or set <code>dom.webgpu.enabled</code> in <code>about:config</code>.</p>
        <p>The page must be opened from <code>localhost</code> or over https.</p>
      </div>
    </>
  );
}
