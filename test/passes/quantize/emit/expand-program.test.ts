// @needs engine
/** Random programs of one op, as graph nodes that TF.js runs through the kernels: the same results, to the bit. */
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { attr } from '../../../../src/graph/attrs';
import { GraphEditor } from '../../../../src/graph/edit';
import { toModelArtifacts } from '../../../../src/graph/encode-graph-model';
import type { Graph, GraphNode } from '../../../../src/graph/ir';
import '../../../../src/index.node';
import { canExpand, expandProgram } from '../../../../src/passes/quantize/emit/expand-program';
import { OpKind, TensorType } from '../../../../src/program/program';
import { CaseBuilder, type KernelCase } from '../../../support/case-builder';
import { Drawer } from '../../../support/draw';
import { forEachCase } from '../../../support/random';
import { ALL_SERIES } from '../../../support/series';

const CASES = 15;

/** A graph whose inputs `in_0`, `in_1`... are those of the program, int32 codes or float32. */
function expand({ program, weights }: KernelCase): Graph {
  const dtypes = program.inputs.map((id) =>
    program.tensors[id]!.type === TensorType.Float32 ? ('float32' as const) : ('int32' as const),
  );
  const placeholders = dtypes.map((dtype, i): [string, GraphNode] => [
    `in_${i}`,
    { name: `in_${i}`, op: 'Placeholder', inputs: [], attrs: { dtype: attr.dtype(dtype) } },
  ]);
  const refs = placeholders.map(([node]) => ({ node, index: 0 }));
  const inputs = refs.map((ref, i) => ({ name: ref.node, ref, dtype: dtypes[i]! }));
  const graph: Graph = {
    nodes: new Map(placeholders),
    constants: new Map(),
    inputs,
    outputs: [],
    source: {},
  };
  const editor = new GraphEditor(graph);
  const results = expandProgram(editor, program, weights, refs);
  const outputs = results.map((ref) => ({ name: ref.node, ref, dtype: 'float32' as const }));
  return { ...graph, nodes: editor.nodes, constants: editor.constants, outputs };
}

async function run(kernelCase: KernelCase): Promise<number[][]> {
  const graph = expand(kernelCase);
  const model = await loadGraphModel(tf.io.fromMemory(toModelArtifacts(graph)));
  try {
    return tf.tidy(() => {
      const tensors = Object.fromEntries(
        graph.inputs.map(({ name, dtype }, i) => [
          name,
          tf.tensor(kernelCase.inputs[i]!, kernelCase.inputShapes[i]!, dtype as 'float32' | 'int32'),
        ]),
      );
      const names = graph.outputs.map(({ ref }) => `${ref.node}:${ref.index}`);
      return [model.execute(tensors, names)].flat().map((result) => Array.from(result.dataSync()));
    });
  } finally {
    model.dispose();
  }
}

test.each(ALL_SERIES.flatMap((series) => ['cpu', 'wasm'].map((backend) => ({ ...series, backend }))))(
  '$label as a node of the $backend backend',
  async ({ label, draw, backend }) => {
    await tf.setBackend(backend);
    await forEachCase(`expanded ${label}`, CASES, async (random) => {
      const builder = new CaseBuilder(random.chance(0.3));
      builder.output(draw(new Drawer(builder, random), random));
      const kernelCase = builder.build();
      const positiveZeros = (values: number[]) => values.map((value) => value + 0);
      expect((await run(kernelCase)).map(positiveZeros)).toEqual(kernelCase.expected.map(positiveZeros));
    });
  },
);

test.each([
  [OpKind.QuantizeInt16, false],
  [OpKind.QuantizeDynamic, false],
  [OpKind.Quantize, true],
] as const)('a program with %p can be expanded: %p', (kind, expected) => {
  const op = { kind, name: 'op', inputs: [0], output: 1 };
  expect(canExpand({ tensors: [], ops: [op], inputs: [0], outputs: [1] })).toBe(expected);
});
