import { checkTextSize, decodeText } from "./calibrationText";
import { StudioError } from "./errors";
import { jsonObjects } from "./jsonLines";
import type { Problem } from "./trying";

/** Problems with known answers, in the order of their file. */
export interface ProblemSet {
  /** Of the file. */
  name: string;
  /** Tells sets apart: FNV-1a (32 bits) over prompts, answers and tiers, hex. */
  key: string;
  problems: Problem[];
}

function refuse(name: string, found: string, todo: string, line?: number): never {
  const where = line === undefined ? name : `${name}, line ${line}`;
  throw new StudioError("bad-file", `Reading the problems ${name}: ${found}. ${todo}`, { title: "The problems cannot be used", where, found, todo, ...(line === undefined ? {} : { line }) });
}

/**
 * Problems of a .jsonl file: `prompt` (text), `answer` (text or a number) and, where there is one, `tier` (text or a number).
 * A number n as a tier is called "tier n". Of an answer with its working, as GSM8K has them, what stands behind the last
 * "####" counts. Other fields are ignored. Throws "bad-file" with the number of the line.
 */
export function parseProblems(name: string, content: string): ProblemSet {
  const stop = (found: string, todo: string, line?: number): never => refuse(name, found, todo, line);
  const problems = jsonObjects(content, stop).map(({ line, row }): Problem => {
    const { prompt, answer, tier } = row;
    const shape = 'Each line needs "prompt" and "answer", such as {"prompt": "2+2=?", "answer": "4"}.';
    const no = (field: string): string => `no field "${field}"${Object.keys(row).length > 0 ? ` among ${Object.keys(row).slice(0, 8).map((key) => `"${key}"`).join(", ")}` : ""}`;
    if (typeof prompt !== "string" || prompt.trim() === "") return stop(`line ${line} has ${prompt === undefined ? no("prompt") : 'no text in the field "prompt"'}`, shape, line);
    if (typeof answer !== "string" && typeof answer !== "number") return stop(`line ${line} has ${answer === undefined ? no("answer") : 'no text or number in the field "answer"'}`, shape, line);
    const reference = String(answer).split("####").at(-1)!.trim();
    if (reference === "") return stop(`line ${line} has an empty "answer"`, shape, line);
    if (typeof tier === "object" && tier !== null || typeof tier === "boolean") return stop(`line ${line} has a "tier" that is no text`, 'Leave "tier" out, or give a word such as "easy".', line);
    return { prompt, answer: reference, ...(tier === undefined || tier === null ? {} : { tier: typeof tier === "number" ? `tier ${tier}` : String(tier) }) };
  });
  return { name, key: fingerprint(problems), problems };
}

/** The same for a file, of which no more is read than can be used. */
export async function readProblems(file: Pick<File, "name" | "size" | "arrayBuffer">): Promise<ProblemSet> {
  checkTextSize(file.name, file.size, "the problems");
  return parseProblems(file.name, decodeText(file.name, new Uint8Array(await file.arrayBuffer()), "the problems"));
}

/** How many problems each tier has, in the order in which tiers come; those without one are a tier of their own. */
export function tierSizes(problems: readonly Problem[]): Map<string | undefined, number> {
  const sizes = new Map<string | undefined, number>();
  for (const { tier } of problems) sizes.set(tier, (sizes.get(tier) ?? 0) + 1);
  return sizes;
}

/**
 * `count` of the problems, always the same ones: of a tier with k of all n problems the first count·k/n, rounded so that the sum is
 * `count` (largest remainders first, of equal ones the tier that comes first), in the order of the file. Without tiers: the first ones.
 */
export function drawProblems(problems: readonly Problem[], count: number): Problem[] {
  const n = problems.length;
  if (count >= n) return [...problems];
  const shares = [...tierSizes(problems)].map(([tier, size]) => ({ tier, left: Math.floor((count * size) / n), remainder: (count * size) % n }));
  const missing = count - shares.reduce((sum, share) => sum + share.left, 0);
  for (const share of [...shares].sort((a, b) => b.remainder - a.remainder).slice(0, missing)) share.left++;
  const byTier = new Map(shares.map((share) => [share.tier, share]));
  return problems.filter(({ tier }) => byTier.get(tier)!.left-- > 0);
}

function fingerprint(problems: readonly Problem[]): string {
  let hash = 0x811c9dc5;
  for (const unit of JSON.stringify(problems.map(({ prompt, answer, tier }) => [prompt, answer, tier]))) hash = Math.imul(hash ^ unit.codePointAt(0)!, 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, "0");
}
