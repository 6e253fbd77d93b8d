import type { Reader, Spot } from "./reader";

/** One model as the file lists it, with its settings. */
export interface Source {
  name: string;
  spot: Spot;
  parameters?: Spot;
}

export interface Sources {
  list: Source[];
  spot: Spot;
  /** Settings of the one output slice, between those of a model and those of the file. */
  slice?: Spot;
  /** `base_model` of the slice, which goes before the file's. */
  base?: Source;
}

/** Layers of a model by name; undefined where they are not known. */
export type LayersOf = (name: string) => number | undefined;

/** `org/name`, a path, `name@revision`, or the same as a map. Throws where there is a LoRA on top. */
export function readModel(reader: Reader, spot: Spot): Source {
  const lora = (): never => {
    throw reader.fault(spot, "is a model with a LoRA on top, which cannot be merged here", "Merge the LoRA into its model first, and name the result.");
  };
  if (spot.node.kind !== "map") {
    const name = reader.word(spot, "the name of a model").trim();
    if (name === "") throw reader.fault(spot, "is empty, expected the name of a model");
    return name.includes("+") ? lora() : { name, spot };
  }
  const fields = new Map(reader.entries(spot, "the name of a model").map((entry) => [entry.key, entry]));
  const said = fields.get("lora")?.spot.node;
  if (said && !(said.kind === "scalar" && said.value === null)) return lora();
  const inner = fields.get("model")?.spot ?? fields.get("path")?.spot;
  if (!inner) throw reader.fault(spot, "is a map without model or path");
  for (const { key, keySpot } of fields.values()) if (!["model", "path", "revision", "lora"].includes(key)) reader.note("warn", "unknown-key", `"${key}" of a model is not used here.`, keySpot);
  const { name } = readModel(reader, inner);
  const revision = fields.get("revision")?.spot;
  return { name: revision ? `${name}@${reader.word(revision, "a revision")}` : name, spot };
}

/** What is merged: `models`, or `slices` of which the one takes all layers of every model. Throws for a model put together from parts. */
export function readSources(reader: Reader, fields: ReadonlyMap<string, Spot>, layersOf: LayersOf | undefined): Sources {
  const [models, slices, modules] = [fields.get("models"), fields.get("slices"), fields.get("modules")];
  if (modules) throw reader.fault(modules, "merges the parts of a multimodal model each in its own way, which cannot be done here", "Merge the language models as `models`.");
  if (models && slices) throw reader.fault(slices, "stands beside models; mergekit takes one of them");
  if (models) return { list: reader.items(models, "a list of models").map((item) => readSource(reader, item, ["model", "parameters"]).source), spot: models };
  if (!slices) throw reader.fault(reader.root, "names neither models nor slices, so there is nothing to merge");
  return readSlice(reader, slices, layersOf);
}

function readSource(reader: Reader, spot: Spot, known: readonly string[]): { source: Source; layers?: Spot } {
  const fields = new Map<string, Spot>();
  for (const { key, spot: child, keySpot } of reader.entries(spot, "a model with its parameters")) {
    if (known.includes(key)) fields.set(key, child);
    else reader.note("warn", "unknown-key", `"${key}" is no key of a model in mergekit's file; it is left out.`, keySpot);
  }
  const model = fields.get("model");
  if (!model) throw reader.fault(spot, "names no model");
  const [parameters, layers] = [fields.get("parameters"), fields.get("layer_range")];
  return { source: { ...readModel(reader, model), ...(parameters ? { parameters } : {}) }, ...(layers ? { layers } : {}) };
}

const APART = "A model put together from layers of others cannot be made here: every output layer is merged from the same layer of each model.";

function readSlice(reader: Reader, slices: Spot, layersOf: LayersOf | undefined): Sources {
  const all = reader.items(slices, "a list of slices");
  const [only, second] = all;
  if (!only) throw reader.fault(slices, "is an empty list, so there is nothing to merge");
  if (second) throw reader.fault(second, `is the second of ${all.length} slices`, APART);
  let sources: Spot | undefined;
  let parameters: Spot | undefined;
  let base: Source | undefined;
  for (const { key, spot, keySpot } of reader.entries(only, "a slice with its sources")) {
    if (key === "sources") sources = spot;
    else if (key === "parameters") parameters = spot;
    else if (key === "base_model") base = readModel(reader, spot);
    else reader.note("warn", "unknown-key", `"${key}" of a slice is not used here.`, keySpot);
  }
  if (!sources) throw reader.fault(only, "has no sources");
  const read = reader.items(sources, "a list of sources").map((item) => {
    const { source, layers } = readSource(reader, item, ["model", "parameters", "layer_range"]);
    if (!layers) throw reader.fault(item, "has no layer_range");
    const [from, to, more] = reader.items(layers, "the first layer and the one behind the last").map((n) => reader.number(n));
    if (from === undefined || to === undefined || more !== undefined) throw reader.fault(layers, "is no pair of numbers, the first layer and the one behind the last");
    return { source, layers, from, to };
  });
  for (const { source, layers, from, to } of read) {
    if (from !== 0) throw reader.fault(layers, `begins at layer ${from}, not at the first`, APART);
    if (to !== read[0]!.to) throw reader.fault(layers, `takes ${to} layers, the first source ${read[0]!.to}`, APART);
    const have = layersOf?.(source.name);
    if (have !== undefined && have !== to) throw reader.fault(layers, `takes ${to} of the ${have} layers of ${source.name}`, APART);
  }
  const unknown = read.find(({ source }) => layersOf?.(source.name) === undefined);
  if (unknown) reader.note("info", "layers", `The slice takes layers 0 to ${unknown.to}; that these are all layers of ${unknown.source.name} is not known here and taken for granted.`, unknown.layers);
  return { list: read.map(({ source }) => source), spot: sources, ...(parameters ? { slice: parameters } : {}), ...(base ? { base } : {}) };
}
