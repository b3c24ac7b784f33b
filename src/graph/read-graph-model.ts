/** Reads a TF.js graph model into the IR, validating it completely. */
import { LowbitError } from '../base/errors';
import { dtypeAttr, parseDType, parseShape, shapeAttr } from './attrs';
import { topologicalOrder } from './edit';
import type { Constant, DType, Graph, GraphNode, RawAttr, SignatureEntry, TensorRef } from './ir';
import { isRecord, type Json } from './json';

function invalid(message: string): LowbitError {
  return new LowbitError('invalid-model', message);
}

/** Reads `node` or `node:index`. */
export function parseRef(text: string): TensorRef {
  const [node, index, ...rest] = text.split(':');
  if (!node || rest.length > 0 || (index !== undefined && !/^\d+$/.test(index))) {
    throw invalid(`Expected a tensor as 'node' or 'node:index' but found '${text}'.`);
  }
  return { node, index: index === undefined ? 0 : Number(index) };
}

/** The dtype and the shape of a constant are those of its weight. */
function attrsOf(op: string, attrs: Readonly<Record<string, RawAttr>>): Readonly<Record<string, RawAttr>> {
  if (op !== 'Const' || !('value' in attrs)) return attrs;
  const { value: _, ...rest } = attrs;
  return rest;
}

function parseNode(value: unknown): GraphNode {
  if (
    !isRecord(value) ||
    typeof value.name !== 'string' ||
    value.name === '' ||
    typeof value.op !== 'string'
  ) {
    throw invalid('The graph has a node without a name or an op.');
  }
  const { name, op } = value;
  const input = value.input ?? [];
  if (!Array.isArray(input) || !input.every((i) => typeof i === 'string')) {
    throw invalid(`Node '${name}': expected a list of names for its inputs.`);
  }
  if (value.attr !== undefined && !isRecord(value.attr))
    throw invalid(`Node '${name}': expected an object for attr.`);
  const control = input.filter((i: string) => i.startsWith('^')).map((i: string) => i.slice(1));
  return {
    name,
    op,
    inputs: input.filter((i: string) => !i.startsWith('^')).map(parseRef),
    ...(control.length > 0 && { controlInputs: control }),
    attrs: attrsOf(op, (value.attr ?? {}) as Record<string, RawAttr>),
  };
}

/**
 * A NoOp has no result, so that TF.js never runs what waits for one: the loops that TensorFlow 2.21 writes. It only orders
 * what runs, which what a node reads does as well.
 */
function withoutBarriers(node: GraphNode, nodes: ReadonlyMap<string, GraphNode>): GraphNode {
  const { controlInputs = [], ...rest } = node;
  const kept = controlInputs.filter((name) => nodes.get(name)!.op !== 'NoOp');
  return kept.length === controlInputs.length
    ? node
    : { ...rest, ...(kept.length > 0 && { controlInputs: kept }) };
}

function parseNodes(topology: Json): Map<string, GraphNode> {
  if (!Array.isArray(topology.node))
    throw invalid("Expected a list of nodes in 'modelTopology.node' of model.json.");
  const nodes = new Map<string, GraphNode>();
  for (const entry of topology.node) {
    const node = parseNode(entry);
    if (nodes.has(node.name)) throw invalid(`Two nodes have the name '${node.name}'; names must be unique.`);
    nodes.set(node.name, node);
  }
  for (const node of nodes.values()) {
    for (const name of [...node.inputs.map((i) => i.node), ...(node.controlInputs ?? [])]) {
      if (!nodes.has(name))
        throw invalid(`Node '${node.name}' (${node.op}) reads '${name}', which is not in the graph.`);
    }
  }
  for (const node of nodes.values()) nodes.set(node.name, withoutBarriers(node, nodes));
  return topologicalOrder(nodes);
}

function checkShape(what: string, shape: readonly number[] | undefined): void {
  if (shape?.some((d) => !Number.isSafeInteger(d) || d < -1 || d === 0)) {
    throw invalid(
      `${what}: expected positive dimensions, or -1 for a dynamic one, but its shape is [${shape}].`,
    );
  }
  const elements = shape?.reduce((product, d) => product * Math.abs(d), 1) ?? 0;
  if (!Number.isSafeInteger(elements)) throw invalid(`${what}: its shape [${shape}] multiplies past 2^53.`);
}

/** An entry of a signature for variables and tables that a model captures; nobody feeds them. */
export function isResource({ dtype }: Json): boolean {
  return ['DT_RESOURCE', 'DT_VARIANT', '20', '21'].includes(String(dtype));
}

function optional({ op }: GraphNode): { optional?: true } {
  return op === 'PlaceholderWithDefault' ? { optional: true } : {};
}

/** @returns undefined for an input that nobody feeds: a resource, or one that a converter has cut off as unused */
function parseEntry(
  name: string,
  value: unknown,
  nodes: ReadonlyMap<string, GraphNode>,
  isInput: boolean,
): SignatureEntry | undefined {
  const written = isRecord(value) ? value.name : undefined;
  if (isRecord(value) && isInput && (isResource(value) || written === undefined)) return undefined;
  if (!isRecord(value) || typeof written !== 'string')
    throw invalid(`Signature entry '${name}' names no tensor.`);
  const ref = parseRef(written);
  const node = nodes.get(ref.node);
  if (!node && isInput) return undefined;
  if (!node) throw invalid(`Signature entry '${name}' refers to '${ref.node}', which is not in the graph.`);
  const dtype = value.dtype === undefined ? (dtypeAttr(node, 'dtype') ?? 'float32') : parseDType(value.dtype);
  if (!dtype) throw invalid(`Signature entry '${name}' has the unknown dtype '${String(value.dtype)}'.`);
  const shape = parseShape(value.tensorShape) ?? shapeAttr(node, 'shape');
  return { name, ref, dtype, ...(shape && { shape }), ...(isInput && optional(node)) };
}

function parseEntries(
  value: unknown,
  nodes: ReadonlyMap<string, GraphNode>,
  isInput: boolean,
): SignatureEntry[] {
  return Object.entries(isRecord(value) ? value : {}).flatMap(
    ([name, entry]) => parseEntry(name, entry, nodes, isInput) ?? [],
  );
}

function entryOf(node: GraphNode): SignatureEntry {
  const dtype: DType = dtypeAttr(node, 'dtype') ?? dtypeAttr(node, 'T') ?? 'float32';
  const shape = shapeAttr(node, 'shape');
  const ref = { node: node.name, index: 0 };
  return { name: node.name, ref, dtype, ...(shape && { shape }), ...optional(node) };
}

/** Without a signature, TF.js feeds the placeholders and returns what no node reads. */
function deriveOutputs(nodes: ReadonlyMap<string, GraphNode>): SignatureEntry[] {
  const read = new Set(
    [...nodes.values()].flatMap((n) => [...n.inputs.map((i) => i.node), ...(n.controlInputs ?? [])]),
  );
  const sinks = [...nodes.values()].filter((n) => !read.has(n.name) && n.op !== 'Const' && n.op !== 'NoOp');
  return sinks.filter((n) => !n.op.startsWith('Placeholder')).map(entryOf);
}

function checkFormat(model: Json): Json {
  const topology = model.modelTopology;
  if (!isRecord(topology)) throw invalid("model.json has no 'modelTopology': it is not a TF.js model.");
  return topology;
}

function checkNotConverted(model: Json, nodes: ReadonlyMap<string, GraphNode>): void {
  const metadata = isRecord(model.userDefinedMetadata) ? model.userDefinedMetadata : {};
  const quantized = [...nodes.values()].find((n) => n.op === 'QuantizedRegion');
  if (metadata.lowbit === undefined && !quantized) return;
  throw new LowbitError(
    'already-converted',
    'This model was converted by tfjs-lowbit already; give the float model that it was made from.',
  );
}

function checkConstants(
  nodes: ReadonlyMap<string, GraphNode>,
  constants: ReadonlyMap<string, Constant>,
): void {
  for (const node of nodes.values()) {
    if (node.op === 'Const' && !constants.has(node.name)) {
      throw invalid(`Const '${node.name}' has no weights in the weights manifest.`);
    }
  }
}

function assemble(model: Json, nodes: Map<string, GraphNode>, weights: ReadonlyMap<string, Constant>): Graph {
  const { modelTopology, weightsManifest: _, ...source } = model;
  const { node: __, ...topology } = modelTopology as Json;
  const metadata = isRecord(model.userDefinedMetadata) ? model.userDefinedMetadata : {};
  const signature = metadata.signature ?? model.signature;
  const { inputs, outputs } = isRecord(signature) ? signature : {};
  const library = isRecord(topology.library) ? topology.library : {};
  const functions = Array.isArray(library.function) ? library.function : [];
  const named = parseEntries(inputs, nodes, true);
  const results = parseEntries(outputs, nodes, false);
  const graph: Graph = {
    nodes,
    // Weights without a node serve the model initializer or library functions, which are carried through unread.
    constants: new Map(
      [...weights].filter(
        ([name]) =>
          nodes.get(name)?.op === 'Const' ||
          ((source.modelInitializer || functions.length > 0) && !nodes.has(name)),
      ),
    ),
    inputs:
      named.length > 0
        ? named
        : [...nodes.values()].filter((n) => n.op.startsWith('Placeholder')).map(entryOf),
    outputs: results.length > 0 ? results : deriveOutputs(nodes),
    source: { ...source, modelTopology: topology },
  };
  for (const input of graph.inputs) checkShape(`Input '${input.name}'`, input.shape);
  if (graph.outputs.length === 0)
    throw invalid('The graph has no output: no signature and every node is read by another.');
  return graph;
}

/**
 * Reads the topology of a graph model.
 *
 * @param model model.json
 * @param options.converted reads what this tool wrote, too
 * @returns makes the graph of the model and its weights
 * @throws LowbitError 'invalid-model' naming the node that is wrong; 'already-converted' for a model of this tool
 */
export function parseGraphModel(
  model: Json,
  options: { converted?: boolean } = {},
): (weights: ReadonlyMap<string, Constant>) => Graph {
  const nodes = parseNodes(checkFormat(model));
  if (!options.converted) checkNotConverted(model, nodes);
  return (weights) => {
    checkConstants(nodes, weights);
    return assemble(model, nodes, weights);
  };
}
