import type { TensorInfo } from '@tensorflow/tfjs-core';
import { LowbitError } from '../src/base/errors';
import { Router, type RouterOptions } from '../src/moe/router';
import { checkInput, fill, type KernelCall, type LowbitKernel } from './kernel';

/** As `RouterOptions`. The running score range belongs to the attributes object and lives as long as it. */
export type MoERouteAttrs = RouterOptions;

function checkShape(name: string, tensor: TensorInfo, expected: readonly number[]): void {
  const { shape } = tensor;
  if (shape.length === expected.length && shape.every((dim, i) => expected[i] < 0 || dim === expected[i]))
    return;
  throw new LowbitError(
    'invalid-shape',
    `MoERoute: input '${name}' has shape [${shape}], expected [${expected.map((dim) => (dim < 0 ? 'tokens' : dim))}].`,
  );
}

function optionalInput(
  inputs: KernelCall['inputs'],
  name: string,
  dtype: 'float32' | 'int32',
  experts: number,
): TensorInfo | undefined {
  if (inputs[name] === undefined) return undefined;
  const tensor = checkInput('MoERoute', inputs, name, dtype);
  checkShape(name, tensor, [experts]);
  return tensor;
}

/** By attributes object, which is the same in every call of a model: checked once. */
const routers = new WeakMap<MoERouteAttrs, Router>();

function routerOf(options: MoERouteAttrs): Router {
  let router = routers.get(options);
  if (!router) {
    router = new Router(options);
    routers.set(options, router);
  }
  return router;
}

/**
 * Chooses the experts of each token.
 *
 * Inputs: `logits` float32 [tokens, experts]; `resident` int32 [experts], not 0 where an expert is in memory, optional;
 * `bias` float32 [experts], added when experts are ranked, optional. Outputs: expert ids, int32 [tokens, topK], with
 * falling score; gate weights, float32 [tokens, topK].
 */
export const moeRouteKernel: LowbitKernel = {
  name: 'MoERoute',
  inputNames: ['logits', 'resident', 'bias'],
  run({ inputs, attrs, backend, host }: KernelCall) {
    const options = attrs as unknown as MoERouteAttrs;
    const { experts, topK } = options;
    const logits = checkInput('MoERoute', inputs, 'logits', 'float32');
    checkShape('logits', logits, [-1, experts]);
    const router = routerOf(options);
    const resident = optionalInput(inputs, 'resident', 'int32', experts);
    const bias = optionalInput(inputs, 'bias', 'float32', experts);
    const [tokens] = logits.shape;
    const outputs = [
      host.allocate(backend, [tokens, topK], 'int32'),
      host.allocate(backend, [tokens, topK], 'float32'),
    ];
    return fill(backend, outputs, ([ids, weights]) => {
      const read = (tensor: TensorInfo) => host.read(backend, tensor);
      const given = {
        logits: read(logits) as Float32Array,
        resident: resident && (read(resident) as Int32Array),
        bias: bias && (read(bias) as Float32Array),
      };
      router.routeInto(given, tokens, ids as Int32Array, weights as Float32Array);
    });
  },
};
