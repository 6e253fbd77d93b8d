import { useStudio } from "../../state/useStudio";
import type { ColumnAnswer, Contender } from "../../state";
import { Icon } from "../../ui/icons";
import { divergence, firstDifferentToken, type Range } from "./answerText";
import { AnswerColumn } from "./AnswerColumn";
import { useContenders } from "./hooks";
import { PromptPanel } from "./PromptPanel";
import { Streamed } from "./Streamed";

/** Base, fine-tuned, merged and what was added, with one prompt. */
export function Compare() {
  const list = useContenders();
  const answers = useStudio((s) => s.answers);
  const setTab = useStudio((s) => s.setTryTab);
  const tuned = list.find((c) => c.role === "tuned");
  const merged = list.find((c) => c.role === "merged");
  const [left, right] = [tuned && answers[tuned.key], merged && answers[merged.key]];
  const from = (other: ColumnAnswer | undefined) => (other?.text && right?.text ? divergence(other.text, right.text) : undefined);
  const parted = from(left);
  // In the merged column it is where the fine-tuned one goes another way.
  const mark = (c: Contender): Range | undefined => (c === merged ? parted?.[1] : c.role === "other" ? from(answers[c.key])?.[0] : c === tuned ? parted?.[0] : undefined);
  return (
    <>
      <PromptPanel />
      <Streamed list={list} />
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
