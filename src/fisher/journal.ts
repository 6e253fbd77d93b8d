import type { RankState } from "../kernels/stats/trim";
import type { WalkJournal } from "../model/walk";
import type { ModelCut } from "./threshold";
import type { TensorStats } from "./types";

/** How far a pass has come; small and plain. What it needs beside this are arrays under their names, and masks. */
export interface PassState {
  /** Which walk through the model this is: those that count come first. */
  walk: number;
  /** Finished steps of the walk. */
  done: number;
  /** Loss of each sequence of the walk, once it is known. */
  losses?: number[] | undefined;
  /** Equal keys taken at the model's threshold so far, by fine-tuned model. */
  taken: number[];
  /** While counting: the selections under way. */
  selects?: RankState[][] | undefined;
  /** After counting. */
  cuts?: ModelCut[] | undefined;
}

/** What an interrupted pass left, and where a pass writes down each finished step. */
export interface PassJournal extends Pick<WalkJournal, "require" | "read" | "put"> {
  /** Undefined: nothing is finished. */
  readonly state: PassState | undefined;
  /** Tensors that are finished with that state, in their order. */
  readonly stats: readonly TensorStats[];
  /** `state` and the tensors finished since the last commit count from now on, both or neither; the arrays of `drop` no longer. */
  commit(state: PassState, change: { stats: readonly TensorStats[]; drop: readonly string[] }): Promise<void>;
}

/** The decoder's side of a pass's journal; `now` says what the visitor has finished with the step. */
export function walkJournal(journal: PassJournal, from: PassState, now: () => Pick<PassState, "taken" | "selects"> & { stats: TensorStats[] }): WalkJournal {
  let { losses } = from;
  return {
    done: from.done,
    losses,
    require: (names) => journal.require(names),
    read: (name, length) => journal.read(name, length),
    put: (name, values) => journal.put(name, values),
    commit: async (done, change) => {
      losses = change.losses ?? losses;
      const { stats, ...state } = now();
      await journal.commit({ walk: from.walk, cuts: from.cuts, done, losses, ...state }, { stats, drop: change.drop });
    },
  };
}
