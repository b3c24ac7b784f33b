/**
 * The process that measures one model: `node --expose-gc memory-child.js model.json backend [sample]` prints a
 * MemoryGrowth.
 */
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { deserialize } from 'node:v8';
import { install } from '../../kernels/register';
import '../runtime/provide-node-engine';
import '../tfjs/provide-node-backends';
import * as tf from '@tensorflow/tfjs-core';
import { attr, shapeToJson } from '../graph/attrs';
import { output } from '../graph/edit';
import type { Graph, Sample } from '../graph/ir';
import { syntheticSample } from '../graph/samples';
import { ModelSession } from '../loading/session';
import { engineInfo } from '../runtime/current-engine';
import { importBackend } from '../tfjs/backends';
import { LoadedGraph } from '../tfjs/loaded-graph';
import type { MemoryGrowth } from './memory';

const PREDICTIONS = 10;
const PAUSE = 100;

/** Buffers that one collection finds unused are freed by the next. */
async function collectGarbage(): Promise<void> {
  globalThis.gc?.();
  await setTimeout(PAUSE);
  globalThis.gc?.();
  await setTimeout(PAUSE);
}

/** A convolution of 8x8 pixels: what any model needs is loaded and compiled with it. */
function smallGraph(): Graph {
  const shape = [1, 8, 8, 3];
  const dtype = { dtype: attr.dtype('float32') };
  const each = attr.ints([1, 1, 1, 1]);
  const window = {
    T: attr.dtype('float32'),
    strides: each,
    dilations: each,
    padding: attr.string('SAME'),
    data_format: attr.string('NHWC'),
  };
  const nodes = [
    { name: 'x', op: 'Placeholder', inputs: [], attrs: { ...dtype, shape: { shape: shapeToJson(shape) } } },
    { name: 'w', op: 'Const', inputs: [], attrs: dtype },
    { name: 'y', op: 'Conv2D', inputs: [output('x'), output('w')], attrs: window },
    { name: 'z', op: 'Relu', inputs: [output('y')], attrs: {} },
  ];
  return {
    nodes: new Map(nodes.map((node) => [node.name, node])),
    constants: new Map([['w', { dtype: 'float32', shape: [3, 3, 3, 4], values: new Float32Array(108) }]]),
    inputs: [{ name: 'x', ref: output('x'), dtype: 'float32', shape }],
    outputs: [{ name: 'z', ref: output('z'), dtype: 'float32' }],
    source: {},
  };
}

/** What is taken once in a process, whatever its models, is taken before anything is measured. */
async function startUp(backend: string): Promise<void> {
  install();
  await importBackend();
  await tf.setBackend(backend);
  engineInfo();
  const graph = smallGraph();
  const model = await LoadedGraph.load(graph);
  for (let i = 0; i < PREDICTIONS; i++) await model.predict(syntheticSample(graph.inputs));
  model.dispose();
  await collectGarbage();
}

const highest = () => process.resourceUsage().maxRSS * 1024;

async function measure(location: string, given: Sample | undefined): Promise<MemoryGrowth> {
  const before = process.memoryUsage.rss();
  const highestBefore = highest();
  let seen = 0;
  const look = () => {
    seen = Math.max(seen, process.memoryUsage.rss());
  };
  const session = await ModelSession.load(location);
  look();
  const sample = given ?? syntheticSample(session.inputs);
  for (let i = 0; i < PREDICTIONS; i++) {
    await session.predict(sample);
    look();
  }
  // A start-up that took more than the model hides the model's own highest point.
  const peak = Math.max(highest() > highestBefore ? highest() : 0, seen) - before;
  await collectGarbage();
  return { resident: process.memoryUsage.rss() - before, peak };
}

async function main(location: string, backend: string, file: string | undefined): Promise<void> {
  const sample = file === undefined ? undefined : (deserialize(readFileSync(file)) as Sample);
  await startUp(backend);
  console.log(JSON.stringify(await measure(location, sample)));
}

main(process.argv[2], process.argv[3], process.argv[4]).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
