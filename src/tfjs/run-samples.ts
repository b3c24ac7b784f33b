/** Runs samples through a graph, however large its weights are. */
import * as tf from '@tensorflow/tfjs-core';
import { yieldToCancel } from '../base/cancelled';
import { median } from '../base/median';
import { refKey } from '../graph/edit';
import type { Graph, Sample, TensorRef } from '../graph/ir';
import { parseRef } from '../graph/read-graph-model';
import { LoadedGraph } from './loaded-graph';
import { nameOf, prepareForSegments, runsInSegments, type Segment, segmentsOf } from './segments';

/** Takes a tensor of one sample; those of one sample may come in any order. */
type Visit = (tensor: tf.Tensor, index: number) => void;

/** Samples that a segment is loaded for at a time. What segments hand on is kept for all of them. */
const SAMPLES_AT_A_TIME = 4;

/** What is known of one sample so far, by `node:index`. */
type Tensors = Map<string, tf.Tensor>;

function disposeAll(samples: readonly Tensors[]): void {
  for (const known of samples) tf.dispose([...known.values()]);
}

function feed({ inputs }: Graph, sample: Sample): Tensors {
  return new Map(
    inputs.map(({ name, ref, dtype }) => {
      const { values, shape } = sample[name];
      // Copied: the plain JavaScript backend keeps what it is given, and who gave a sample may use its memory again.
      return [refKey(ref), tf.tensor(values.slice() as tf.TensorLike, [...shape], dtype)];
    }),
  );
}

function upload({ weights }: Segment): tf.NamedTensorMap {
  return Object.fromEntries(
    [...weights].map(([name, { values, shape, dtype }]) => [
      name,
      tf.tensor(values as tf.TensorLike, [...shape], dtype as tf.DataType),
    ]),
  );
}

/** Runs one segment for one sample, and drops what no later segment reads. */
async function runSegment(
  model: LoadedGraph,
  { reads, gives }: Segment,
  weights: tf.NamedTensorMap,
  known: Tensors,
  readLater: ReadonlySet<string>,
  visit: (tensor: tf.Tensor, key: string) => void,
): Promise<void> {
  const own = Object.fromEntries(reads.map((ref) => [nameOf(ref), known.get(refKey(ref))!]));
  const results = await model.execute({ ...weights, ...own }, gives);
  for (const [i, ref] of gives.entries()) known.set(refKey(ref), results[i]);
  for (const [i, ref] of gives.entries()) visit(results[i], refKey(ref));
  for (const ref of [...reads, ...gives]) {
    const key = refKey(ref);
    if (readLater.has(key)) continue;
    known.get(key)?.dispose();
    known.delete(key);
  }
}

/** Runs some samples through all segments. */
async function runTogether(
  segments: readonly Segment[],
  samples: readonly Tensors[],
  refs: readonly TensorRef[],
  visit: Visit,
  signal?: AbortSignal,
): Promise<void> {
  const keys = refs.map(refKey);
  const give = (tensor: tf.Tensor, key: string) => {
    for (const [i, each] of keys.entries()) if (each === key) visit(tensor, i);
  };
  for (const known of samples) for (const [key, tensor] of known) give(tensor, key);
  for (const [index, segment] of segments.entries()) {
    const later = new Set(segments.slice(index + 1).flatMap(({ reads }) => reads.map(refKey)));
    const model = await LoadedGraph.load(segment.graph);
    const weights = upload(segment);
    try {
      for (const known of samples) {
        await yieldToCancel(signal);
        await runSegment(model, segment, weights, known, later, give);
      }
    } finally {
      model.dispose();
      tf.dispose(weights);
    }
  }
}

async function* groupsOf(samples: AsyncIterable<Sample> | Iterable<Sample>, graph: Graph) {
  let group: Tensors[] = [];
  try {
    for await (const sample of samples) {
      group.push(feed(graph, sample));
      if (group.length < SAMPLES_AT_A_TIME) continue;
      yield group;
      group = [];
    }
    if (group.length > 0) yield group;
  } finally {
    disposeAll(group);
  }
}

async function runWhole(
  graph: Graph,
  samples: AsyncIterable<Sample> | Iterable<Sample>,
  refs: readonly TensorRef[],
  visit: Visit,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  const model = await LoadedGraph.load(graph);
  const times: number[] = [];
  try {
    for await (const sample of samples) {
      await yieldToCancel(signal);
      const start = performance.now();
      await model.run(sample, refs, visit);
      times.push(performance.now() - start);
    }
  } finally {
    model.dispose();
  }
  return times.length > 0 ? median(times) : undefined;
}

/**
 * Runs samples to tensors of a graph, on the current backend. A graph with large weights is run in segments, some samples
 * at a time.
 *
 * @param refs each tensor once
 * @param visit gets the tensors of a sample in any order, and each tensor in the order of the samples
 * @returns milliseconds that a sample took, the median; undefined without samples, and in segments
 * @throws LowbitError as `LoadedGraph`; 'cancelled' on abort
 */
export async function runSamples(
  graph: Graph,
  samples: AsyncIterable<Sample> | Iterable<Sample>,
  refs: readonly TensorRef[],
  visit: Visit,
  signal?: AbortSignal,
): Promise<number | undefined> {
  if (!runsInSegments(graph, refs)) return runWhole(graph, samples, refs, visit, signal);
  const segments = segmentsOf(prepareForSegments(graph), refs);
  for await (const group of groupsOf(samples, graph)) {
    try {
      await runTogether(segments, group, refs, visit, signal);
    } finally {
      disposeAll(group);
    }
  }
}

/** A graph whose weights are uploaded a segment at a time, for each run anew. */
class SegmentedGraph {
  private readonly graph: Graph;

  constructor(graph: Graph) {
    this.graph = prepareForSegments(graph);
  }

  feed(sample: Sample): tf.NamedTensorMap {
    return Object.fromEntries(feed(this.graph, sample));
  }

  async execute(feeds: tf.NamedTensorMap, refs: readonly TensorRef[]): Promise<tf.Tensor[]> {
    const segments = segmentsOf(this.graph, refs, Object.keys(feeds).map(parseRef));
    const known: Tensors = new Map(Object.entries(feeds).map(([key, tensor]) => [key, tf.clone(tensor)]));
    const results: tf.Tensor[] = [];
    try {
      await runTogether(segments, [known], refs, (tensor, i) => {
        results[i] = tf.clone(tensor);
      });
    } finally {
      disposeAll([known]);
    }
    return results;
  }

  dispose(): void {}
}

/** What can run a graph many times, with more or less of it given. */
export type RunnableGraph = Pick<LoadedGraph, 'feed' | 'execute' | 'dispose'>;

/**
 * Loads a graph on the current backend.
 *
 * @param refs what is to be computed with nothing but the inputs given
 */
export async function loadGraph(graph: Graph, refs: readonly TensorRef[]): Promise<RunnableGraph> {
  return runsInSegments(graph, refs) ? new SegmentedGraph(graph) : LoadedGraph.load(graph);
}
