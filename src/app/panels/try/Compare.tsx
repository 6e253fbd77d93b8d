import { useStudio } from "../../state/useStudio";
import type { ColumnAnswer, Contender } from "../../state";
import { Icon } from "../../ui/icons";
import { divergence, firstDifferentToken, type Range } from "./answerText";
import { AnswerColumn } from "./AnswerColumn";
import { useContenders } from "./hooks";
import { PromptPanel } from "./PromptPanel";

/** Base, fine-tuned, merged and what was added, with one prompt. */
export function Compare() {
  const list = useContenders();
  const answers = useStudio((s) => s.answers);
  const setTab = useStudio((s) => s.setTryTab);
  const tuned = list.find((c) => c.role === "tuned");
  const merged = list.find((c) => c.role === "merged");
  const [left, right] = [tuned && answers[tuned.key], merged && answers[merged.key]];
  const parted = left?.text && right?.text ? divergence(left.text, right.text) : undefined;
  const mark = (c: Contender): Range | undefined => (c === tuned ? parted?.[0] : c === merged ? parted?.[1] : undefined);
  return (
    <>
      <PromptPanel />
      <div className={`cols n${Math.min(4, list.length)}`}>
        {list.map((c) => <AnswerColumn key={c.key} contender={c} mark={mark(c)} />)}
      </div>
      <div className="note-line"><Icon name="info" /><span>{partingWords(left, right, parted !== undefined)} One prompt says little about a merge; <button type="button" className="link" onClick={() => setTab("evaluate")}>Evaluate</button> runs a whole problem set.</span></div>
    </>
  );
}

function partingWords(tuned: ColumnAnswer | undefined, merged: ColumnAnswer | undefined, marked: boolean): string {
  if (!tuned?.answer || !merged?.answer) return marked ? "Underlined: where merged and fine-tuned part ways." : "";
  const at = firstDifferentToken(tuned.answer.ids, merged.answer.ids);
  if (at === undefined) return `Merged and fine-tuned gave the same ${merged.answer.ids.length} tokens.`;
  return marked ? `Underlined: where merged and fine-tuned part ways, at token ${at}.` : `Merged and fine-tuned part ways at token ${at}.`;
}
