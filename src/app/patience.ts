import { StudioError } from "../core/errors";

/** The browser has not said what a folder holds. */
export class TooLate extends StudioError {
  constructor(path: string, ms: number) {
    super("permission", `Reading the folder ${path}: the browser has not said for ${Math.round(ms / 1000)} s what it holds; it may keep this folder to itself. Move the model into a folder of its own and drop that.`, {
      title: "The browser does not hand the folder over",
      where: path,
      found: `no answer for ${Math.round(ms / 1000)} s`,
      why: "Browsers keep some folders to themselves: their own profile, system folders, the whole home or downloads folder.",
      todo: "Move the model into a folder of its own, outside of these, and drop that; or choose the files themselves.",
    });
  }
}

/** Waits for one answer of the browser about `path`. Throws TooLate when none comes; each answer starts the time anew. */
export type Patience = <T>(path: string, answer: Promise<T>) => Promise<T>;

/** Some folders are never listed and never refused: a walk that hears nothing for `ms` gives up with a sentence. */
export function patience(ms = 10_000): Patience {
  return (path, answer) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new TooLate(path, ms)), ms);
      answer.then(resolve, reject).finally(() => clearTimeout(timer));
    });
}
