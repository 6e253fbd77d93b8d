import { canOpen, STEPS } from "../../state";
import { tryBlocked } from "../../state/contenders";
import { useShallow, useStudio } from "../../state/useStudio";
import { Icon } from "../../ui/icons";

/** Centre of each step on the 530 px strip. */
const X = [53, 159, 265, 371, 477];
type NodeState = "done" | "current" | "open" | "locked";

/** The picture of the product: two lines run through Load and Check, join at Shape, one runs on. */
export function StepStrip() {
  const step = useStudio((s) => s.step);
  const open = useStudio(useShallow((s) => STEPS.map(({ id }) => canOpen(s, id))));
  const blocked = useStudio((s) => (canOpen(s, "try") ? tryBlocked(s) : undefined));
  const go = useStudio((s) => s.go);
  const at = STEPS.findIndex(({ id }) => id === step);
  const states = STEPS.map(({ id }, i): NodeState => (i === at ? "current" : i < at ? "done" : open[i] && !(id === "try" && blocked) ? "open" : "locked"));
  return (
    <nav className="steps" aria-label="Steps">
      <Confluence at={at} states={states} />
      <ol>
        {STEPS.map(({ id, label }, i) => (
          <li key={id}>
            {open[i]
              ? <button type="button" className={i < at ? "done" : undefined} aria-current={i === at ? "step" : undefined} onClick={() => go(id)}><StepLabel label={label} locked={id === "try" ? blocked : undefined} /></button>
              : <span className="off" aria-disabled="true"><StepLabel label={label} locked={id === "try" ? blocked : undefined} /></span>}
          </li>
        ))}
      </ol>
    </nav>
  );
}

function StepLabel({ label, locked }: { label: string; locked: string | undefined }) {
  return <span className="lbl">{label}{locked && <><Icon name="lock" /><span className="vh">, closed: {locked}</span></>}</span>;
}

function Confluence({ at, states }: { at: number; states: NodeState[] }) {
  const reached = (i: number, river: string): string => (at >= i ? river : "ahead");
  const pair = (i: number) => {
    const state = states[i]!;
    const r = state === "current" ? 4 : 3;
    const cls = (n: 1 | 2): string => (state === "done" || state === "current" ? `f${n}` : state === "open" ? `c${n}` : "ca");
    return <g key={i}><circle className={cls(1)} cx={X[i]} cy={5} r={r} /><circle className={cls(2)} cx={X[i]} cy={15} r={r} /></g>;
  };
  const single = (i: number) => {
    const state = states[i]!;
    const cls = state === "done" || state === "current" ? "f3" : state === "open" ? "c3" : "ca";
    return <g key={i}><circle className={cls} cx={X[i]} cy={10} r={state === "current" ? 4.5 : 3.5} />{state === "current" && <circle className="halo c3" cx={X[i]} cy={10} r={8} />}</g>;
  };
  return (
    <svg width="530" height="22" viewBox="0 0 530 22" aria-hidden="true">
      <path className={reached(1, "w1")} d="M57 5H155" /><path className={reached(1, "w2")} d="M57 15H155" />
      <path className={reached(2, "w1")} d="M163 5C210 5 222 10 261 10" /><path className={reached(2, "w2")} d="M163 15C210 15 222 10 261 10" />
      <path className={reached(3, "w3")} d="M269 10H367" /><path className={reached(4, "w3")} d="M375 10H473" />
      {pair(0)}{pair(1)}{single(2)}{single(3)}{single(4)}
    </svg>
  );
}

/** Narrow screens: "3 of 5", five pips, the name. */
export function StepMini() {
  const at = useStudio((s) => STEPS.findIndex(({ id }) => id === s.step));
  return (
    <div className="step-mini">
      <span>{at + 1} of {STEPS.length}</span>
      <span className="pips" aria-hidden="true">{STEPS.map(({ id }, i) => <i key={id} className={i <= at ? "on" : ""} />)}</span>
      <span>{STEPS[at]?.label}</span>
    </div>
  );
}
