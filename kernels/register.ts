/** Registers every kernel with TF.js, for all backends we have a host for, and as graph ops. */
import * as converter from '@tensorflow/tfjs-converter';
import * as core from '@tensorflow/tfjs-core';
import { codedError } from '../src/base/coded-errors';
import { LowbitError } from '../src/base/errors';
import { hadamardKernel } from './Hadamard';
import { cpuHost } from './hosts/cpu';
import { type AsyncHost, type Host, readsAsync, readsSync } from './hosts/host';
import { tensorflowHost } from './hosts/tensorflow';
import { wasmHost } from './hosts/wasm';
import { webglHost } from './hosts/webgl';
import { webgpuHost } from './hosts/webgpu';
import type { LowbitKernel } from './kernel';
import { linearFloatKernel } from './LinearFloat';
import { mixtureOfExpertsKernel } from './MixtureOfExperts';
import { moeRouteKernel } from './MoERoute';
import { piDequantKernel } from './PiDequant';
import { dequantizeKernel, quantizeKernel } from './Quantize';
import {
  quantizedAddKernel,
  quantizedMaximumKernel,
  quantizedMinimumKernel,
  quantizedMulKernel,
  quantizedSubKernel,
} from './QuantizedArithmetic';
import { quantizedBatchMatMulKernel } from './QuantizedBatchMatMul';
import { quantizedConcatKernel } from './QuantizedConcat';
import { quantizedConv2DKernel } from './QuantizedConv2D';
import { quantizedConv2DTransposeKernel } from './QuantizedConv2DTranspose';
import { quantizedDepthwiseKernel } from './QuantizedDepthwise';
import { quantizedGatherKernel } from './QuantizedGather';
import { quantizedLayerNormalizationKernel } from './QuantizedLayerNormalization';
import {
  quantizedDepthToSpaceKernel,
  quantizedPadKernel,
  quantizedSliceKernel,
  quantizedSpaceToDepthKernel,
  quantizedTransposeKernel,
} from './QuantizedLayout';
import { quantizedLinearKernel } from './QuantizedLinear';
import { quantizedLookupKernel } from './QuantizedLookup';
import { quantizedAvgPoolKernel, quantizedMaxPoolKernel } from './QuantizedPool';
import { quantizedPreluKernel } from './QuantizedPrelu';
import { quantizedRegionKernel } from './QuantizedRegion';
import { quantizedResizeBilinearKernel, quantizedResizeNearestNeighborKernel } from './QuantizedResize';
import { quantizedSoftmaxKernel } from './QuantizedSoftmax';
import { needsExecuteAsync, runAsync } from './run-async';

export const KERNELS: readonly LowbitKernel[] = [
  quantizedRegionKernel,
  quantizedConv2DKernel,
  quantizedConv2DTransposeKernel,
  quantizedDepthwiseKernel,
  quantizedLinearKernel,
  linearFloatKernel,
  quantizedGatherKernel,
  quantizedBatchMatMulKernel,
  quantizedMaxPoolKernel,
  quantizedAvgPoolKernel,
  quantizedAddKernel,
  quantizedSubKernel,
  quantizedMulKernel,
  quantizedMaximumKernel,
  quantizedMinimumKernel,
  quantizedConcatKernel,
  quantizedLookupKernel,
  quantizedPreluKernel,
  quantizedSoftmaxKernel,
  quantizedLayerNormalizationKernel,
  quantizedResizeBilinearKernel,
  quantizedResizeNearestNeighborKernel,
  quantizedPadKernel,
  quantizedSliceKernel,
  quantizedTransposeKernel,
  quantizedSpaceToDepthKernel,
  quantizedDepthToSpaceKernel,
  hadamardKernel,
  piDequantKernel,
  quantizeKernel,
  dequantizeKernel,
  moeRouteKernel,
  mixtureOfExpertsKernel,
];

/** Of the graph ops, which are named as the kernels. */
export const OP_NAMES: readonly string[] = KERNELS.map(({ name }) => name);

const hosts = new Map<string, Host>();

/** Lets kernels run on a further backend, from the next `install` on. */
export function addHost(host: Host): void {
  hosts.set(host.backendName, host);
}

for (const host of [cpuHost, wasmHost, tensorflowHost, webglHost, webgpuHost]) addHost(host);

const noticed = new WeakSet<Host>();

function printNotice(host: Host): void {
  if (host.notice === undefined || noticed.has(host)) return;
  noticed.add(host);
  console.warn(host.notice);
}

/** The parts of TF.js that we register with: `@tensorflow/tfjs-core` and `-converter`, or the union package. */
export type TfInstance = Pick<typeof core, 'registerKernel' | 'getKernel' | 'engine'> &
  Pick<typeof converter, 'registerOp'>;

/** The copies of tfjs-converter that have our ops, by the function that registers them. */
const installedWith = new WeakSet<TfInstance['registerOp']>();

/** Whether `install` was called with a copy of tfjs-converter. */
export function hasOps({ registerOp }: Pick<TfInstance, 'registerOp'>): boolean {
  return installedWith.has(registerOp);
}

/** Of this copy of the package. */
const ownKernels = new WeakSet<core.KernelFunc>();
let warned = false;

/** Whether a kernel is registered already; warns where another copy of the package did it. */
function isRegistered(tf: TfInstance, kernelName: string, backendName: string): boolean {
  const registered = tf.getKernel(kernelName, backendName);
  if (registered == null) return false;
  if (!ownKernels.has(registered.kernelFunc) && !warned) {
    warned = true;
    console.warn(
      `Two copies of tfjs-lowbit are loaded in this process. Kernels of the first run, with ` +
        'its engine and threads; settings such as setThreads of the other copy do not concern them, and models loaded by ' +
        'the other may not find their weights. Install one version, and import it by one path.',
    );
  }
  return true;
}

function registerKernelOn(tf: TfInstance, kernel: LowbitKernel): void {
  const { name: kernelName } = kernel;
  for (const host of hosts.values()) {
    const { backendName } = host;
    if (isRegistered(tf, kernelName, backendName)) continue;
    const kernelFunc: core.KernelFunc = ({ inputs, attrs, backend }) => {
      if (!readsSync(host)) throw needsExecuteAsync(kernelName, backendName);
      printNotice(host);
      return kernel.run({ inputs, attrs: attrs ?? {}, backend: backend as core.KernelBackend, host });
    };
    ownKernels.add(kernelFunc);
    tf.registerKernel({ kernelName, backendName, kernelFunc });
  }
}

/** Names the inputs of a graph node: `['...x', 'program']` with three inputs gives x0, x1, program. The last may be absent. */
function nameInputs(inputNames: readonly string[], tensors: readonly core.Tensor[]): core.NamedTensorMap {
  const named: core.NamedTensorMap = {};
  let next = 0;
  for (const name of inputNames) {
    if (!name.startsWith('...')) {
      if (next < tensors.length) named[name] = tensors[next++];
      continue;
    }
    const rest = tensors.length - (inputNames.length - 1);
    for (let i = 0; i < rest; i++) named[`${name.slice(3)}${i}`] = tensors[next++];
  }
  return named;
}

type CoreEngine = ReturnType<typeof core.engine>;

async function executeAsync(
  kernel: LowbitKernel,
  engine: CoreEngine,
  inputs: core.NamedTensorMap,
  attrs: core.NamedAttrMap,
  host: AsyncHost,
): Promise<core.Tensor[]> {
  const outputs = await runAsync(kernel, inputs, attrs, engine.backend, host);
  return [outputs].flat().map((info) => engine.makeTensorFromTensorInfo(info));
}

/** What failed in a node of a graph, by the node's name, which TF.js's executor has beside what it declares. */
function nodeError(error: unknown, kernelName: string, graphNode: converter.GraphNode): LowbitError {
  const { node } = graphNode as { node?: { name?: string } };
  const where = node?.name === undefined ? kernelName : `${kernelName} '${node.name}'`;
  const coded = codedError(error, where);
  if (coded !== error || node?.name === undefined) return coded;
  // The program of a single op calls it by the kernel's name.
  const own = [`${kernelName}: `, `${kernelName} '${kernelName}': `];
  const prefix = own.find((text) => coded.message.startsWith(text)) ?? '';
  return new LowbitError(coded.code, `${where}: ${coded.message.slice(prefix.length)}`, { cause: error });
}

/** The op of a graph that runs a kernel. */
function graphOp(kernel: LowbitKernel, tf: TfInstance, node: converter.GraphNode) {
  const inputs = node.inputs as core.Tensor[];
  const engine = tf.engine();
  const all = node.attrs as core.NamedAttrMap;
  // What else a region has is for those who look at it.
  const attrs = kernel !== quantizedRegionKernel ? all : all.integers ? { integers: true } : {};
  if (kernel.execute) return kernel.execute({ engine, inputs, attrs });
  const named = nameInputs(kernel.inputNames, inputs);
  const host = hosts.get(engine.backendName);
  // `execute` runs nodes within a tidy, where none may return a promise; `executeAsync` does not.
  const mayWait = engine.state.activeScope == null;
  if (host !== undefined && readsAsync(host) && mayWait) {
    printNotice(host);
    return executeAsync(kernel, engine, named, attrs, host);
  }
  return engine.runKernel(kernel.name, named, attrs);
}

/**
 * Registers kernels and graph ops with a TF.js instance. Importing the package does it for the instance that the
 * package itself resolves; call it for any other one (a bundler's second copy, a global `tf` of a script tag).
 */
export function install(tf: TfInstance = { ...core, ...converter }): void {
  installedWith.add(tf.registerOp);
  for (const kernel of KERNELS) {
    registerKernelOn(tf, kernel);
    tf.registerOp(kernel.name, (node) => {
      const failed = (error: unknown): never => {
        throw nodeError(error, kernel.name, node);
      };
      try {
        const result = graphOp(kernel, tf, node);
        return result instanceof Promise ? result.catch(failed) : result;
      } catch (error) {
        return failed(error);
      }
    });
  }
}
