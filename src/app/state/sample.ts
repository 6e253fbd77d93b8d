import { StudioError } from "../../core/errors";
import { parseProblems, type ProblemSet } from "../../core/problems";
import type { IncomingFolder } from "../../engine/api";

const FILES = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.json"];
const FOLDERS = [
  { name: "calculator-base", path: "samples/base" },
  { name: "calculator-long-cot", path: "samples/long-cot" },
];

export const SAMPLE_NAMES = FOLDERS.map(({ name }) => name);

/**
 * The pair that ships with the page, fetched from beside it and wrapped as two dropped folders.
 * Throws StudioError "bad-file" when a file is not there.
 */
export function fetchSample(): Promise<IncomingFolder[]> {
  return Promise.all(
    FOLDERS.map(async ({ name, path }) => ({
      name,
      files: await Promise.all(
        FILES.map(async (file) => {
          const response = await fetch(`${path}/${file}`).catch((cause: unknown) => {
            throw missing(`${path}/${file}`, "the server did not answer", cause);
          });
          if (!response.ok) throw missing(`${path}/${file}`, `the server answered ${response.status}`);
          const bytes = await response.arrayBuffer();
          return { path: file, file: new File([bytes], file, { lastModified: Date.parse(response.headers.get("last-modified") ?? "") || 0 }) };
        }),
      ),
    })),
  );
}

/** The held-out problems of that pair. Throws StudioError "bad-file" as above. */
export async function fetchSampleProblems(): Promise<ProblemSet> {
  const path = "samples/problems.jsonl";
  const response = await fetch(path).catch((cause: unknown) => {
    throw missing(path, "the server did not answer", cause);
  });
  if (!response.ok) throw missing(path, `the server answered ${response.status}`);
  return parseProblems("problems.jsonl", await response.text());
}

function missing(where: string, found: string, cause?: unknown): StudioError {
  const todo = "Start the studio again, then load the page anew.";
  return new StudioError("bad-file", `Fetching the sample pair: ${where}, ${found}. ${todo}`, { title: "The sample pair could not be fetched", where, found, todo }, { cause });
}
