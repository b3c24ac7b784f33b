/**
 * Kernels of TF.js's WebAssembly backend (4.22) that are wrong for some types: float models are run on it to calibrate
 * and to compare. Select and Reverse write four bytes for each boolean, past the end of their output; StridedSlice gives
 * booleans and integers out as the floats of the same bits, and ClipByValue takes integers for floats. They are given a
 * type that they compute right.
 */
import * as tf from '@tensorflow/tfjs-core';

type Types = Partial<Record<tf.DataType, tf.DataType>>;

/** By kernel, the type in whose place to compute with which one. */
const REPAIRS: Readonly<Record<string, Types>> = {
  Select: { bool: 'int32' },
  Reverse: { bool: 'int32' },
  StridedSlice: { bool: 'float32', int32: 'float32' },
  ClipByValue: { int32: 'float32' },
};

const repaired = new WeakSet<tf.KernelFunc>();

type Kernel = (params: {
  inputs: tf.NamedTensorInfoMap;
  backend: unknown;
  attrs?: tf.NamedAttrMap;
}) => tf.TensorInfo;

function repair(kernel: string, types: Types): void {
  const config = tf.getKernel(kernel, 'wasm');
  const cast = tf.getKernel('Cast', 'wasm')?.kernelFunc as unknown as Kernel | undefined;
  if (!config || !cast || repaired.has(config.kernelFunc)) return;
  const compute = config.kernelFunc as unknown as Kernel;
  const kernelFunc: Kernel = (params) => {
    const backend = params.backend as tf.KernelBackend;
    const to = (dtype: tf.DataType, x: tf.TensorInfo) => cast({ inputs: { x }, backend, attrs: { dtype } });
    // The condition of a selection is a boolean as it should be.
    const values = Object.entries(params.inputs as Record<string, tf.TensorInfo>).filter(
      ([name]) => name !== 'condition',
    );
    const wrong = values[0][1].dtype;
    const right = types[wrong];
    if (!right || values.some(([, { dtype }]) => dtype !== wrong)) return compute(params);
    const given = values.map(([name, x]) => [name, to(right, x)] as const);
    const result = compute({ ...params, inputs: { ...params.inputs, ...Object.fromEntries(given) } });
    const back = to(wrong, result);
    for (const { dataId } of [...given.map(([, x]) => x), result]) backend.disposeData(dataId);
    return back;
  };
  repaired.add(kernelFunc as unknown as tf.KernelFunc);
  tf.unregisterKernel(kernel, 'wasm');
  tf.registerKernel({ ...config, kernelFunc: kernelFunc as unknown as tf.KernelFunc });
}

/** Repairs the backend where it is loaded; a second call changes nothing. */
export function repairWasmBackend(): void {
  for (const [kernel, types] of Object.entries(REPAIRS)) repair(kernel, types);
}
