/** A small ONNX graph of f32 tensors, written as the protobuf it is (onnx.proto: ModelProto, GraphProto, NodeProto). */
export interface OnnxNode {
  op: string;
  inputs: string[];
  output: string;
  /** Integer attributes. */
  attributes?: Record<string, number>;
  /** A list attribute. */
  lists?: Record<string, number[]>;
}
export type OnnxShapes = Record<string, number[]>;

function varint(value: number): number[] {
  const out: number[] = [];
  let n = value;
  for (; n > 127; n = Math.floor(n / 128)) out.push((n % 128) | 128);
  out.push(n);
  return out;
}
const bytes = (field: number, content: number[]): number[] => [...varint((field << 3) | 2), ...varint(content.length), ...content];
const text = (field: number, content: string): number[] => bytes(field, [...new TextEncoder().encode(content)]);
const integer = (field: number, value: number): number[] => [...varint(field << 3), ...varint(value)];

const FLOAT = 1;
const INT = 2;
const INTS = 7;

/** ValueInfoProto: name, tensor type with its element type and dimensions. */
function valueInfo(name: string, shape: number[]): number[] {
  const dimensions = shape.flatMap((size) => bytes(1, integer(1, size)));
  return [...text(1, name), ...bytes(2, bytes(1, [...integer(1, FLOAT), ...bytes(2, dimensions)]))];
}

function nodeProto({ op, inputs, output, attributes = {}, lists = {} }: OnnxNode): number[] {
  return [
    ...inputs.flatMap((name) => text(1, name)),
    ...text(2, output),
    ...text(4, op),
    ...Object.entries(attributes).flatMap(([name, value]) => bytes(5, [...text(1, name), ...integer(3, value), ...integer(20, INT)])),
    ...Object.entries(lists).flatMap(([name, values]) => bytes(5, [...text(1, name), ...values.flatMap((v) => integer(8, v)), ...integer(20, INTS)])),
  ];
}

/** The bytes of a model, IR version 8, operator set 17. */
export function onnxModel(nodes: OnnxNode[], inputs: OnnxShapes, outputs: OnnxShapes): Uint8Array {
  const values = (field: number, shapes: OnnxShapes): number[] => Object.entries(shapes).flatMap(([name, shape]) => bytes(field, valueInfo(name, shape)));
  const graph = [...nodes.flatMap((node) => bytes(1, nodeProto(node))), ...text(2, "bench"), ...values(11, inputs), ...values(12, outputs)];
  return Uint8Array.from([...integer(1, 8), ...bytes(7, graph), ...bytes(8, integer(2, 17))]);
}
