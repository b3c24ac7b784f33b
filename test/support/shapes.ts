/** Inferred shapes against those that TF.js computes. */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { refKey } from '../../src/graph/edit';
import { inferShapes, type Shapes } from '../../src/graph/infer-shapes';
import type { Graph, Sample } from '../../src/graph/ir';
import { LoadedGraph } from '../../src/tfjs/loaded-graph';
import type { Random } from './random';

/** What an open dimension is in one run and in another. */
const OPEN_SIZES = [2, 4];

function feed(graph: Graph, open: number, random: Random): Sample {
  return Object.fromEntries(
    graph.inputs.map(({ name, dtype, shape = [] }) => {
      const fixed = shape.map((d) => (d < 0 ? open : d));
      const count = fixed.reduce((p, d) => p * d, 1);
      const draws = Array.from({ length: count }, () =>
        dtype === 'int32' ? random.int(0, 2) : random.real(-2, 2),
      );
      const values = dtype === 'int32' ? Int32Array.from(draws) : Float32Array.from(draws);
      return [name, { dtype: dtype as 'float32', shape: fixed, values }];
    }),
  );
}

/**
 * Expects of every tensor of a graph that its inferred shape holds in TF.js for open dimensions of two sizes, and that
 * a dimension is left open only where the two runs differ.
 *
 * @param outputs where given, of these tensors alone
 */
export async function expectInferredShapes(
  graph: Graph,
  random: Random,
  outputs?: readonly string[],
): Promise<Shapes> {
  const shapes = inferShapes(graph);
  await tf.setBackend('cpu');
  const names = outputs ?? [...graph.nodes.values()].filter(({ op }) => op !== 'Const').map((n) => n.name);
  const refs = names.map((node) => ({ node, index: 0 }));
  const runs: number[][][] = [];
  const loaded = await LoadedGraph.load(graph);
  try {
    for (const open of OPEN_SIZES) {
      const found: number[][] = [];
      await loaded.run(feed(graph, open, random), refs, (tensor) => found.push(tensor.shape));
      runs.push(found);
    }
  } finally {
    loaded.dispose();
  }
  refs.forEach((ref, i) => {
    const [first, second] = runs.map((run) => run[i]);
    const right = first.map((d, axis) => (d === second[axis] ? d : -1));
    expect([ref.node, shapes.get(refKey(ref))]).toEqual([ref.node, right]);
  });
  return shapes;
}
