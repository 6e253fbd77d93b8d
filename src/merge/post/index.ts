import { StudioError } from "../../core/errors";
import { POST_NOTES } from "../methods/notes";
import { acm } from "./acm";
import { aim } from "./aim";
import type { PostMethod } from "./definePost";

/** Every post-process, in the order in which the page offers them. */
export const POSTS: readonly PostMethod[] = [aim, acm];

/** Throws "bad-recipe" for an id that no post-process has. */
export function postOf(id: string): PostMethod {
  const post = POSTS.find((p) => p.id === id);
  if (!post) throw new StudioError("bad-recipe", `Reading the recipe: there is no post-process "${id}". There are ${POSTS.map((p) => p.id).join(", ")}.`, { title: "Unknown post-process", where: "then", found: id });
  return post;
}

/** The plain-data part: what the page lists and draws the form from. */
export function postInfo({ id, label, summary, formula, source, measures, params, presets }: PostMethod) {
  return { id, label, summary, formula, source, measures, params, presets, note: POST_NOTES[id]! };
}

export { COMBOS } from "./combos";
export type { PostContext, PostMethod } from "./definePost";
