/** What infinite weights make of the calibration data: where results are infinite or NaN, layers have no range. */
import type * as tf from '@tensorflow/tfjs-core';
import { consumers, output, refKey } from '../../../graph/edit';
import type { Graph } from '../../../graph/ir';
import { firstSamples } from '../../../graph/samples';
import { nodesInControlFlow } from '../../../passes/quantize/plan/control-flow';
import { infiniteWeights } from '../../../passes/quantize/plan/infinite-weights';
import { importBackend, withBackend } from '../../../tfjs/backends';
import { runSamples } from '../../../tfjs/run-samples';
import type { Settings } from '../../settings';

const REASON = 'infinite weights make its values infinite or NaN';

/** Nodes, and all that read what they compute. */
function withReaders(graph: Graph, names: Iterable<string>): Set<string> {
  const readers = consumers(graph);
  const found = new Set(names);
  for (const name of found) for (const reader of readers.get(name) ?? []) found.add(reader.name);
  return found;
}

/**
 * Nodes that compute or read what is not finite on the calibration data because of infinite weights, each with that
 * reason.
 *
 * @throws LowbitError as `LoadedGraph`; 'cancelled' on abort
 */
export async function nodesOfInfiniteResults(graph: Graph, settings: Settings): Promise<Map<string, string>> {
  const { data, samples, signal } = settings;
  const weighted = infiniteWeights(graph);
  if (weighted.size === 0 || !data) return new Map();
  const inside = nodesInControlFlow(graph);
  const refs = [...withReaders(graph, weighted.keys())]
    .filter((name) => !inside.has(name))
    .map((name) => output(name));
  // NaN is handed on by every op, though some backends make numbers of it.
  const nan = [...weighted].flatMap(([name, { value }]) => (Number.isNaN(value) ? [name] : []));
  const bad = new Set([...withReaders(graph, nan)].map((name) => refKey(output(name))));
  const look = (tensor: tf.Tensor, i: number) => {
    if (tensor.dtype !== 'float32' || bad.has(refKey(refs[i]))) return;
    if (!(tensor.dataSync() as Float32Array).every(Number.isFinite)) bad.add(refKey(refs[i]));
  };
  await withBackend(await importBackend(), () =>
    runSamples(graph, firstSamples(data(graph.inputs), samples), refs, look, signal),
  );
  const nodes = [...graph.nodes.values()].filter(
    ({ name, inputs }) => bad.has(refKey(output(name))) || inputs.some((ref) => bad.has(refKey(ref))),
  );
  return new Map(nodes.filter(({ name }) => !weighted.has(name)).map(({ name }) => [name, REASON]));
}
