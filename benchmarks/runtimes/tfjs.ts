/** TF.js as users run it: `loadGraphModel` and `predict`, with a float model or one of ours. */
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { engineInfo, setThreads } from '../../src/index.node';
import type { LoadedModel, Output, Runtime } from './runtime';

export function tfjsRuntime(backend: 'wasm' | 'cpu'): Runtime {
  return {
    version: `TF.js ${tf.version_core}`,
    async start() {
      await tf.setBackend(backend);
      // One small op, so that what the backend itself takes is there before.
      tf.tidy(() => tf.add(tf.scalar(1), tf.scalar(1)).dataSync());
    },
    async load(model, sample): Promise<LoadedModel> {
      const graph = await loadGraphModel(`file://${model}`);
      const { outputs } = (graph.modelSignature ?? {}) as { outputs?: object };
      const names = Object.keys(outputs ?? {});
      const feeds = Object.fromEntries(
        Object.entries(sample).map(([name, { values, shape, dtype }]) => [
          name,
          tf.tensor(values, [...shape], dtype),
        ]),
      );
      const predict = (): Output[] => {
        const results = graph.predict(feeds) as tf.Tensor | tf.Tensor[];
        return [results].flat().map((tensor, i) => {
          const values = tensor.dataSync() as Float32Array;
          tensor.dispose();
          return { name: names[i] ?? graph.outputNodes[i], values };
        });
      };
      return { predict: () => void predict(), outputs: async () => predict() };
    },
  };
}

/** Our converted models on the WebAssembly backend. */
export function lowbitRuntime(): Runtime {
  const tfjs = tfjsRuntime('wasm');
  return {
    version: `${engineInfo().isa}, ${tfjs.version}`,
    async start(threads) {
      await tfjs.start(threads);
      setThreads(threads);
    },
    load: tfjs.load,
  };
}
