/** What a float model consists of, and how much of it can be quantized. */
import { withCode } from '../base/coded-errors';
import { countMacs } from '../graph/count-macs';
import { inferShapes } from '../graph/infer-shapes';
import type { Constant, Graph, GraphNode } from '../graph/ir';
import { modelBytes } from '../graph/model-files';
import { readModel } from '../graph/read-model';
import { optimize } from '../passes/pipeline';
import { planQuantization } from '../passes/quantize/plan/plan';
import { countProducts, type ProductCounts } from './products';

export interface OpSummary {
  op: string;
  /** Nodes of the model as it is on disk. */
  nodes: number;
  /** Multiply-accumulates for one sample. */
  macs: number;
  /** Bytes of the weights that these nodes read. */
  bytes: number;
}

export interface InspectReport {
  inputs: { name: string; dtype: string; shape?: readonly number[] }[];
  outputs: { name: string; dtype: string; shape?: readonly number[] }[];
  ops: OpSummary[];
  /** After the passes that fold and fuse, which is what is quantized. */
  quantizable: { nodes: number; macsPercent: number; bytesPercent: number } & ProductCounts;
  /** Nodes that would stay float, and why. */
  float: { name: string; op: string; reason: string }[];
  totals: { nodes: number; macs: number; weightBytes: number; fileBytes: number };
}

/** Weights that a node reads directly. */
function weightsOf(graph: Graph, node: GraphNode): Constant[] {
  return node.inputs.flatMap(({ node: name }) => graph.constants.get(name) ?? []);
}

function bytesOf(constants: Iterable<Constant>): number {
  return [...constants].reduce((sum, { values }) => sum + values.byteLength, 0);
}

function isComputed({ op }: GraphNode): boolean {
  return op !== 'Const' && !op.startsWith('Placeholder');
}

/** Inputs and outputs of a graph. */
export function tensorsOf({ inputs, outputs }: Graph): Pick<InspectReport, 'inputs' | 'outputs'> {
  const of = (entries: Graph['inputs']) => entries.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  return { inputs: of(inputs), outputs: of(outputs) };
}

function summarize(graph: Graph): OpSummary[] {
  const shapes = inferShapes(graph);
  const byOp = new Map<string, OpSummary>();
  for (const node of graph.nodes.values()) {
    if (!isComputed(node)) continue;
    const summary = byOp.get(node.op) ?? { op: node.op, nodes: 0, macs: 0, bytes: 0 };
    summary.nodes++;
    summary.macs += countMacs(graph, shapes, node);
    summary.bytes += bytesOf(weightsOf(graph, node));
    byOp.set(node.op, summary);
  }
  return [...byOp.values()].sort((a, b) => b.macs - a.macs || b.nodes - a.nodes);
}

async function inspectFloat(location: string): Promise<InspectReport> {
  const source = await readModel(location);
  const ops = summarize(source);
  const { graph } = optimize(source);
  const plan = planQuantization(graph);
  const tables = [...plan.tables.keys()].map((name) => graph.nodes.get(name)!);
  const chosen = [...plan.regions.flatMap(({ nodes }) => nodes), ...tables];
  const macs = (nodes: Iterable<GraphNode>) =>
    [...nodes].reduce((sum, node) => sum + countMacs(graph, plan.shapes, node), 0);
  const share = (part: number, whole: number) => (whole === 0 ? 0 : (100 * part) / whole);
  const chosenBytes = bytesOf(new Set(chosen.flatMap((node) => weightsOf(graph, node))));
  return {
    ...tensorsOf(source),
    ops,
    quantizable: {
      nodes: chosen.length,
      macsPercent: share(macs(chosen), macs(graph.nodes.values())),
      bytesPercent: share(chosenBytes, bytesOf(graph.constants.values())),
      ...countProducts(graph, plan.shapes, plan.float),
    },
    float: [...plan.float].map(([name, reason]) => ({ name, op: graph.nodes.get(name)?.op ?? '', reason })),
    totals: {
      nodes: ops.reduce((sum, { nodes }) => sum + nodes, 0),
      macs: ops.reduce((sum, op) => sum + op.macs, 0),
      weightBytes: bytesOf(source.constants.values()),
      fileBytes: await modelBytes(location),
    },
  };
}

/**
 * Reads a float model and reports what conversion would do, without data and without writing anything.
 *
 * @param location path or file URL of model.json
 * @throws LowbitError 'io', 'invalid-model', 'invalid-weights' or 'already-converted'
 */
export async function inspect(location: string): Promise<InspectReport> {
  return withCode(`Inspecting ${location}`, () => inspectFloat(location));
}
