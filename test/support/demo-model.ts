/** The demo's model, converted to INT8, and what it gives in Node.js. */
import { join, resolve } from 'node:path';
import '@tensorflow/tfjs-backend-cpu';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { fileSystem } from '../../src/index.node';
import { temporaryFolder } from './tiny-model';

const { convertByCommand } = require('./convert-by-command');

const root = resolve(__dirname, '..', '..');

export interface DemoModel {
  /** Has model.json. */
  readonly folder: string;
  readonly shape: number[];
  /** What it gives for the picture of each phase, 0 and 1. */
  readonly expected: number[][];
}

/** A picture: also written where pages make theirs, as functions that run there see no other ones. */
function picture(shape: readonly number[], phase: number): tf.Tensor {
  const size = shape.reduce((product, dim) => product * dim, 1);
  const values = Float32Array.from({ length: size }, (_, i) => ((i * 37 + phase * 11) % 256) / 255);
  return tf.tensor(values, [...shape]);
}

export async function convertDemo(): Promise<DemoModel> {
  const folder = join(temporaryFolder(), 'int8');
  convertByCommand(join(root, 'examples', 'demo', 'model', 'model.json'), folder);
  await tf.setBackend('cpu');
  const model = await loadGraphModel(fileSystem(join(folder, 'model.json')));
  const shape = model.inputs[0].shape!.map((dim) => Math.max(dim, 1));
  const expected = [0, 1].map((phase) => [...(model.predict(picture(shape, phase)) as tf.Tensor).dataSync()]);
  model.dispose();
  return { folder, shape, expected };
}
