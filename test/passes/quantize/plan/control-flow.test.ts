// @needs engine
import { join } from 'node:path';
import { convert } from '../../../../src/conversion/convert';
import { bench } from '../../../../src/evaluation/bench';
import { compare } from '../../../../src/evaluation/compare';
import { attr } from '../../../../src/graph/attrs';
import { toModelArtifacts } from '../../../../src/graph/encode-graph-model';
import type { Graph } from '../../../../src/graph/ir';
import { readModelArtifacts } from '../../../../src/graph/read-artifacts';
import { writeGraphModel } from '../../../../src/graph/write-graph-model';
import { optimize } from '../../../../src/passes/pipeline';
import { planQuantization } from '../../../../src/passes/quantize/plan/plan';
import { signalToNoise } from '../../../../src/quantization/metrics';
import { makeReport } from '../../../../src/report/report';
import { LoadedGraph } from '../../../../src/tfjs/loaded-graph';
import { drawFeeds, FloatGraph, windowAttrs } from '../../../support/float-graph';
import { quantize, toSample } from '../../../support/quantize';
import { randomOf } from '../../../support/random';
import { temporaryFolder } from '../../../support/tiny-model';

const random = () => randomOf(expect.getState().currentTestName ?? '', 0);

/** conv -> (a 1x1 convolution if the first pixel is positive, else a negation) -> conv. */
function conditional(): FloatGraph {
  return new FloatGraph(random())
    .input('image', [-1, 6, 6, 3])
    .weights('first/filter', [3, 3, 3, 4])
    .node('first', 'Conv2D', ['image', 'first/filter'], windowAttrs())
    .constant('axes', [4], [0, 1, 2, 3], 'int32')
    .constant('zero', [], [0])
    .node('mean', 'Mean', ['image', 'axes'], { keep_dims: { b: false } })
    .node('positive', 'Greater', ['mean', 'zero'])
    .node('switch', 'Switch', ['first', 'positive'])
    .weights('then/filter', [1, 1, 4, 4])
    .node('then', 'Conv2D', ['switch:1', 'then/filter'], windowAttrs())
    .node('else', 'Neg', ['switch'])
    .node('merge', 'Merge', ['else', 'then'])
    .weights('last/filter', [3, 3, 4, 2])
    .node('last', 'Conv2D', ['merge', 'last/filter'], windowAttrs());
}

async function compute(graph: Graph, sample: ReturnType<typeof toSample>): Promise<Float32Array> {
  const loaded = await LoadedGraph.load(graph);
  let values = new Float32Array();
  await loaded.run(
    sample,
    graph.outputs.map((o) => o.ref),
    (tensor) => {
      values = tensor.dataSync().slice() as typeof values;
    },
  );
  loaded.dispose();
  return values;
}

test('what runs under a condition stays float, the rest is quantized', async () => {
  const float = conditional().build('last');
  const result = await quantize(float, random());
  expect(result.plan.regions.map(({ nodes }) => nodes.map((n) => n.name))).toEqual([['first'], ['last']]);
  expect(result.plan.float.get('then')).toBe('it is part of control flow');
  for (const shift of [-1, 1]) {
    const { image } = drawFeeds(float, random());
    const sample = toSample({ image: { ...image, values: image.values.map((v) => (v + shift) / 2) } });
    const [expected, received] = [await compute(float, sample), await compute(result.graph, sample)];
    expect(signalToNoise(expected, received)).toBeGreaterThan(20);
  }
});

test('a converted model with control flow is compared, timed and reported on', async () => {
  const folder = temporaryFolder();
  const build = conditional().build('last');
  await writeGraphModel(build, join(folder, 'float'));
  const feeds = Array.from({ length: 3 }, () => toSample(drawFeeds(build, random())));
  const samples = async function* () {
    yield* feeds;
  };
  const float = join(folder, 'float', 'model.json');
  await convert({ input: float, output: join(folder, 'int8'), calibration: samples });
  const lowbit = join(folder, 'int8', 'model.json');
  const comparison = await compare({ float, lowbit, samples, latencyRuns: 1, memory: false });
  expect(comparison.samples).toBe(3);
  expect(comparison.outputs[0].signalToNoise).toBeGreaterThan(20);
  const { results } = await bench({ model: lowbit, float, runs: 2, profile: true });
  expect(results[0].profile!.layers.map(({ name }) => name)).toContain('first');
  const report = await makeReport({ float, lowbit, samples, comparison, timedRuns: 1 });
  expect(report.layers.map(({ name }) => name)).toEqual(expect.arrayContaining(['first', 'last']));
}, 60_000);

/** A convolution whose result is doubled until its largest element is 100 or more. */
function loop(): FloatGraph {
  const frame = (constant: boolean) => ({ frame_name: attr.string('loop'), is_constant: { b: constant } });
  return new FloatGraph(random())
    .input('image', [-1, 4, 4, 2])
    .weights('filter', [3, 3, 2, 4])
    .node('conv', 'Conv2D', ['image', 'filter'], windowAttrs())
    .node('enter', 'Enter', ['conv'], frame(false))
    .constant('axes', [4], [0, 1, 2, 3], 'int32')
    .constant('limit', [], [100])
    .constant('two', [], [2])
    .node('axes/enter', 'Enter', ['axes'], frame(true))
    .node('limit/enter', 'Enter', ['limit'], frame(true))
    .node('two/enter', 'Enter', ['two'], frame(true))
    .node('merge', 'Merge', ['enter', 'next'])
    .node('largest', 'Max', ['merge', 'axes/enter'], { keep_dims: { b: false } })
    .node('less', 'Less', ['largest', 'limit/enter'])
    .node('condition', 'LoopCond', ['less'])
    .node('switch', 'Switch', ['merge', 'condition'])
    .node('doubled', 'Mul', ['switch:1', 'two/enter'])
    .node('next', 'NextIteration', ['doubled'])
    .node('exit', 'Exit', ['switch']);
}

test('a loop is no cycle, and stays float', async () => {
  const float = await readModelArtifacts(toModelArtifacts(loop().build('exit')));
  const result = await quantize(float, random());
  expect(result.plan.regions.map(({ nodes }) => nodes.map((n) => n.name))).toEqual([['conv']]);
  expect(result.plan.float.get('doubled')).toBe('it is part of control flow');
  const sample = toSample(drawFeeds(float, random()));
  const [expected, received] = [await compute(float, sample), await compute(result.graph, sample)];
  expect(signalToNoise(expected, received)).toBeGreaterThan(20);
});

test('functions keep their weights', async () => {
  const graph = new FloatGraph(random())
    .input('image', [-1, 6, 6, 3])
    .weights('filter', [3, 3, 3, 4])
    .node('conv', 'Conv2D', ['image', 'filter'], windowAttrs())
    .constant('axes', [4], [0, 1, 2, 3], 'int32')
    .constant('zero', [], [0])
    .node('mean', 'Mean', ['image', 'axes'], { keep_dims: { b: false } })
    .node('positive', 'Greater', ['mean', 'zero'])
    .node('if', 'If', ['positive', 'conv'], {
      then_branch: { func: { name: 'then' } },
      else_branch: { func: { name: 'else' } },
      Tin: { list: { type: ['DT_FLOAT'] } },
    } as never)
    .build('if');
  const body = (name: string, op: string, input: string[]) => ({
    signature: {
      name,
      inputArg: [{ name: 'x', type: 'DT_FLOAT' }],
      outputArg: [{ name: 'y', type: 'DT_FLOAT' }],
    },
    nodeDef: [
      { name: `${name}/scale`, op: 'Const', attr: { dtype: { type: 'DT_FLOAT' } } },
      { name: `${name}/result`, op, input, attr: { T: { type: 'DT_FLOAT' } } },
    ],
    ret: { y: `${name}/result:z:0` },
  });
  const artifacts = toModelArtifacts({
    ...graph,
    constants: new Map([
      ...graph.constants,
      ...['then', 'else'].map(
        (name, i) =>
          [`${name}/scale`, { dtype: 'float32', shape: [], values: Float32Array.of(i + 2) }] as const,
      ),
    ]),
    source: {
      modelTopology: {
        library: {
          function: [
            body('then', 'Mul', ['x', 'then/scale:output:0']),
            body('else', 'AddV2', ['x', 'else/scale:output:0']),
          ],
        },
      },
    },
  });
  const float = optimize(await readModelArtifacts(artifacts)).graph;
  const result = await quantize(float, random());
  expect(result.plan.float.get('if')).toContain('control flow');
  for (const shift of [-1, 1]) {
    const { image } = drawFeeds(float, random());
    const sample = toSample({ image: { ...image, values: image.values.map((v) => (v + shift) / 2) } });
    const [expected, received] = [await compute(float, sample), await compute(result.graph, sample)];
    expect(signalToNoise(expected, received)).toBeGreaterThan(20);
  }
});

test('a plan of nothing but control flow says so', () => {
  const graph = new FloatGraph(random())
    .input('image', [-1, 4])
    .input('predicate', [])
    .node('switch', 'Switch', ['image', 'predicate'])
    .weights('w', [4, 4])
    .node('product', 'MatMul', ['switch:1', 'w'])
    .build('product');
  const { regions, float } = planQuantization(graph);
  expect(regions).toEqual([]);
  expect(new Set(float.values())).toEqual(new Set(['it is part of control flow']));
});
