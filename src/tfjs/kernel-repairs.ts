/**
 * Kernels of TF.js's backends (4.22) that are wrong for some inputs: float models are run on them to calibrate and to
 * compare.
 */
import * as tf from '@tensorflow/tfjs-core';

interface Call {
  readonly inputs: Readonly<Record<string, tf.TensorInfo>>;
  readonly backend: tf.KernelBackend;
  readonly attrs?: object;
}

type Kernel = (call: Call) => tf.TensorInfo;

type Repair = (compute: Kernel, backend: string) => Kernel;

/**
 * Computes with another type, by the type that is wrong. Select and Reverse of the WebAssembly backend write four bytes for
 * each boolean, past the end of their output; its StridedSlice gives booleans and integers out as the floats of the same
 * bits, and its ClipByValue takes integers for floats.
 */
const withTypes =
  (types: Partial<Record<tf.DataType, tf.DataType>>): Repair =>
  (compute, name) =>
  (call) => {
    const { inputs, backend } = call;
    const cast = tf.getKernel('Cast', name).kernelFunc as unknown as Kernel;
    const to = (dtype: tf.DataType, x: tf.TensorInfo) => cast({ inputs: { x }, backend, attrs: { dtype } });
    // The condition of a selection is a boolean as it should be.
    const values = Object.entries(inputs).filter(([input]) => input !== 'condition');
    const wrong = values[0][1].dtype;
    const right = types[wrong];
    if (!right || values.some(([, { dtype }]) => dtype !== wrong)) return compute(call);
    const given = values.map(([input, x]) => [input, to(right, x)] as const);
    const result = compute({ ...call, inputs: { ...inputs, ...Object.fromEntries(given) } });
    const back = to(wrong, result);
    for (const { dataId } of [...given.map(([, x]) => x), result]) backend.disposeData(dataId);
    return back;
  };

/** StridedSlice counts its strides by the axes of its result, without the dropped ones: it drops none, and is reshaped. */
const keepingAxes: Repair = (compute) => (call) => {
  const attrs = call.attrs as tf.StridedSliceAttrs;
  const { beginMask, endMask, ellipsisMask, newAxisMask, shrinkAxisMask } = attrs;
  if (shrinkAxisMask === 0) return compute(call);
  const masks = [beginMask, endMask, ellipsisMask, newAxisMask, shrinkAxisMask] as const;
  const { shape } = call.inputs.x;
  const info = tf.slice_util.sliceInfo(shape, attrs.begin, attrs.end, attrs.strides, ...masks);
  const { begin, end, strides, finalShape } = info;
  if (finalShape.includes(0)) return compute(call);
  // Backwards to the first element, the resolved end is -1, which would be read as the last element.
  const toFirst = end.reduce((mask, position, axis) => mask | (Number(position < 0) << axis), 0);
  const none = { beginMask: 0, ellipsisMask: 0, newAxisMask: 0, shrinkAxisMask: 0 };
  const result = compute({ ...call, attrs: { begin, end, strides, ...none, endMask: toFirst } });
  return { ...result, shape: finalShape };
};

/** TensorScatterUpdate of the plain JavaScript backend writes into its input, which others may read: it gets a copy. */
const onCopy: Repair = (compute) => (call) => {
  const { inputs, backend } = call;
  const { shape, dtype, dataId } = inputs.tensor;
  const copy = backend.write(backend.readSync(dataId).slice(), shape, dtype);
  const result = compute({ ...call, inputs: { ...inputs, tensor: { shape, dtype, dataId: copy } } });
  backend.disposeData(copy);
  return result;
};

/** By backend and kernel; the first is the innermost. */
const REPAIRS: Readonly<Record<string, Readonly<Record<string, readonly Repair[]>>>> = {
  wasm: {
    Select: [withTypes({ bool: 'int32' })],
    Reverse: [withTypes({ bool: 'int32' })],
    StridedSlice: [withTypes({ bool: 'float32', int32: 'float32' }), keepingAxes],
    ClipByValue: [withTypes({ int32: 'float32' })],
  },
  cpu: { StridedSlice: [keepingAxes], TensorScatterUpdate: [onCopy] },
};

const repaired = new WeakSet<tf.KernelFunc>();

/** Repairs a backend where it is loaded; a second call changes nothing. */
export function repairBackend(backend: string): void {
  for (const [kernel, repairs] of Object.entries(REPAIRS[backend] ?? {})) {
    const config = tf.getKernel(kernel, backend);
    if (!config || repaired.has(config.kernelFunc)) continue;
    const compute = config.kernelFunc as unknown as Kernel;
    const kernelFunc = repairs.reduce(
      (inner, repair) => repair(inner, backend),
      compute,
    ) as unknown as tf.KernelFunc;
    repaired.add(kernelFunc);
    tf.unregisterKernel(kernel, backend);
    tf.registerKernel({ ...config, kernelFunc });
  }
}
