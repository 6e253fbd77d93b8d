/**
 * Which files of a model folder matter. Weights and their index; config, tokenizer and chat template; the texts that
 * travel with a model. Everything else (other weight formats, hidden files, subfolders) is left where it is.
 * Source: STORAGE 3, plus licence and card, which an export carries on.
 */
const KEPT = [
  /\.safetensors$/,
  /\.index\.json$/,
  /^config\.json$/,
  /^generation_config\.json$/,
  /^tokenizer/,
  /^special_tokens_map\.json$/,
  /^added_tokens\.json$/,
  /^vocab\.json$/,
  /^merges\.txt$/,
  /\.model$/,
  /^chat_template/,
  /^README\.md$/i,
  /^LICEN[CS]E/i,
  /^NOTICE/i,
];

/** True for a file of the model folder itself that is kept; `path` is relative to the folder. */
export function isModelFile(path: string): boolean {
  return !path.includes("/") && !path.startsWith(".") && KEPT.some((pattern) => pattern.test(path));
}

export const isWeightFile = (path: string): boolean => path.endsWith(".safetensors");

/** Code unit order, the same on every machine: what "path order" means wherever files are hashed or listed. */
export const byPath = (a: { path: string }, b: { path: string }): number => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);

/** "3.09 GB", "7.1 MB", "812 B": decimal units, three significant digits. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${value} B` : `${Number(value.toPrecision(3))} ${units[unit]}`;
}
