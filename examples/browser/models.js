/** Both models: loaded, run and timed. */

import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import plain from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url';
import simd from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url';
import threaded from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-threaded-simd.wasm?url';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { engineInfo, ready } from 'tfjs-lowbit';

/** Side of the model's square input. */
const SIZE = 64;

/** In the order of the model's outputs. */
export const CLASSES = ['circle', 'triangle', 'square', 'star', 'cross', 'ring', 'crescent', 'bar'];

const RUNS = 30;

/** The mean without the fastest and the slowest quarter: a median would show how coarse a browser's clock is. */
function middleMean(values) {
  const quarter = Math.floor(values.length / 4);
  const middle = values.toSorted((a, b) => a - b).slice(quarter, values.length - quarter);
  return middle.reduce((sum, value) => sum + value, 0) / middle.length;
}

export class Model {
  #model;
  #times = [];

  /** Downloaded. */
  bytes = 0;
  /** Of the weights. */
  memory = 0;

  /** @param copies how often the weights are in memory: TF.js has them, and the engine of tfjs-lowbit as well */
  static async load(url, copies) {
    const model = new Model();
    const fetchFunc = async (...request) => {
      const response = await fetch(...request);
      model.bytes += (await response.clone().arrayBuffer()).byteLength;
      return response;
    };
    const before = tf.memory().numBytes;
    model.#model = await loadGraphModel(url, { fetchFunc });
    model.memory = copies * (tf.memory().numBytes - before);
    return model;
  }

  /** @returns the score of each class, and the time of the last runs in milliseconds */
  run(input) {
    const start = performance.now();
    const output = this.#model.predict(input);
    const scores = output.dataSync();
    this.#times.push(performance.now() - start);
    if (this.#times.length > RUNS) this.#times.shift();
    output.dispose();
    return { scores, time: middleMean(this.#times) };
  }
}

/** The model's input from a canvas: its middle, in [-1, 1]. */
export function inputOf(canvas) {
  return tf.tidy(() => {
    const pixels = tf.image.resizeBilinear(tf.browser.fromPixels(canvas), [SIZE, SIZE]);
    return tf.expandDims(tf.sub(tf.div(pixels, 127.5), 1), 0);
  });
}

/** @returns both models and the instruction set that the converted one runs on */
export async function loadModels() {
  setWasmPaths({
    'tfjs-backend-wasm.wasm': plain,
    'tfjs-backend-wasm-simd.wasm': simd,
    'tfjs-backend-wasm-threaded-simd.wasm': threaded,
  });
  await tf.setBackend('wasm');
  await ready();
  const float = await Model.load('./float/model.json', 1);
  const int8 = await Model.load('./int8/model.json', 2);
  return { float, int8, isa: engineInfo().isa };
}
