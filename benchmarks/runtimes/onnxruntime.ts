/** onnxruntime-node at its best: all graph optimizations, a fixed batch, inputs with channels first as it likes them. */
import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import type { DenseTensor } from '../../src/graph/ir';
import { BATCH } from '../onnx/export';
import { permute, TO_CHANNELS_FIRST, TO_CHANNELS_LAST, transpose } from '../onnx/layout';
import type { LoadedModel, Runtime } from './runtime';

/** Only errors: it warns about constants that its own optimizations leave over. */
const LOG_ERRORS = 3;

function channelsFirst({ shape, values }: DenseTensor): Tensor {
  if (shape.length !== 4) return new Tensor('float32', values as Float32Array, shape);
  const turned = transpose(values as Float32Array, shape, TO_CHANNELS_FIRST);
  return new Tensor('float32', turned, permute(shape, TO_CHANNELS_FIRST));
}

function channelsLast({ data, dims }: Tensor): Float32Array {
  const values = data as Float32Array;
  return dims.length === 4 ? transpose(values, dims, TO_CHANNELS_LAST) : values;
}

export function onnxRuntime(): Runtime {
  let threads = 1;
  return {
    version: `onnxruntime-node ${env.versions.node}`,
    async start(count) {
      threads = count;
    },
    async load(model, sample): Promise<LoadedModel> {
      const [{ shape }] = Object.values(sample);
      const session = await InferenceSession.create(model, {
        graphOptimizationLevel: 'all',
        executionMode: 'sequential',
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        freeDimensionOverrides: { [BATCH]: shape[0] },
        logSeverityLevel: LOG_ERRORS,
      });
      const feeds = Object.fromEntries(
        Object.entries(sample).map(([name, tensor]) => [name, channelsFirst(tensor)]),
      );
      return {
        predict: async () => {
          await session.run(feeds);
        },
        outputs: async () => {
          const results = await session.run(feeds);
          return Object.entries(results).map(([name, tensor]) => ({ name, values: channelsLast(tensor) }));
        },
      };
    },
  };
}
