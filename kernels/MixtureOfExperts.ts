import * as core from '@tensorflow/tfjs-core';
import { checkArgument, LowbitError } from '../src/base/errors';
import { MIXTURE_ACTIVATIONS, MIXTURE_OP, type MixtureActivation } from '../src/graph/mixture';
import { floatMixture } from '../src/moe/float-mixture';
import { closeWithModel, mixtureOf } from '../src/moe/open-experts';
import { freeWithTensor } from './hosts/dispose';
import { checkInput, fill, type GraphCall, type KernelCall, type LowbitKernel } from './kernel';

/** x [.., width] as rows, and the gate's logits of them. */
function routed({ engine }: GraphCall, x: core.Tensor, gate: core.Tensor): [core.Tensor, core.Tensor] {
  const [width] = gate.shape;
  if (x.shape.at(-1) !== width) {
    throw new LowbitError(
      'invalid-shape',
      `${MIXTURE_OP}: input has shape [${x.shape}], expected ${width} numbers along its last axis.`,
    );
  }
  const shape = [x.size / width, width];
  const rows = engine.runKernel('Reshape', { x }, { shape }) as core.Tensor;
  const attrs = { transposeA: false, transposeB: false };
  return [rows, engine.runKernel('BatchMatMul', { a: rows, b: gate }, attrs) as core.Tensor];
}

/** Experts that are weights of the graph. */
function inGraph({ inputs, attrs }: GraphCall): core.Tensor {
  const [x, gate, up, upBias, down, downBias] = inputs;
  const { topK, activation } = attrs as unknown as { topK: number; activation: MixtureActivation };
  const known = MIXTURE_ACTIVATIONS.includes(activation);
  checkArgument(known, 'activation', `one of ${MIXTURE_ACTIVATIONS.join(', ')}`, activation);
  return core.tidy(() => {
    const rows = core.reshape(x, [-1, gate.shape[0]]) as core.Tensor2D;
    const logits = core.matMul(rows, gate as core.Tensor2D) as core.Tensor2D;
    const { out } = floatMixture(rows, logits, { up, upBias, down, downBias }, { topK, activation });
    return core.reshape(out, x.shape);
  });
}

async function inFile(call: GraphCall): Promise<core.Tensor> {
  const [x, gate] = call.inputs;
  const { store, layer } = call.attrs;
  const [rows, logits] = call.engine.tidy(() => routed(call, x, gate)) as [core.Tensor, core.Tensor];
  try {
    const values = await Promise.all([rows.data<'float32'>(), logits.data<'float32'>()]);
    const out = await mixtureOf(store).forward(layer as number, ...values);
    return call.engine.makeTensor(out, x.shape, 'float32');
  } finally {
    rows.dispose();
    logits.dispose();
  }
}

/**
 * A layer whose experts are in a file: routes tokens, reads the experts that are not in memory, and computes.
 *
 * Inputs: `x` float32 [tokens, width], `logits` float32 [tokens, experts]. Attributes: `store`, of an open file,
 * `layer`. Output: float32 [tokens, width]. A node of a graph (see `graph/mixture.ts`) computes the logits with its
 * gate; `executeAsync` awaits missing experts, while `predict` and `execute` block until they were read.
 */
export const mixtureOfExpertsKernel: LowbitKernel = {
  name: MIXTURE_OP,
  inputNames: ['x', 'logits'],
  run({ inputs, attrs, backend, host }: KernelCall) {
    const x = checkInput(MIXTURE_OP, inputs, 'x', 'float32');
    const logits = checkInput(MIXTURE_OP, inputs, 'logits', 'float32');
    const [rows, scores] = [x, logits].map((tensor) => host.read(backend, tensor) as Float32Array);
    const out = mixtureOf(attrs.store).forwardNow(attrs.layer as number, rows, scores);
    return fill(backend, [host.allocate(backend, [...x.shape], 'float32')], ([to]) => to.set(out))[0];
  },
  execute(call: GraphCall) {
    const { engine, inputs, attrs } = call;
    if (inputs.length > 2) return inGraph(call);
    const [x, gate] = inputs;
    const { store, layer } = attrs;
    // The data may also be gone because it moved to another backend: then the tensor is not disposed.
    const ifDisposed = () => queueMicrotask(() => gate.isDisposed && closeWithModel(store));
    freeWithTensor(engine.backend, gate.dataId, ifDisposed);
    // `execute` runs nodes within a tidy, where none may return a promise; `executeAsync` does not.
    if (engine.state.activeScope == null) return inFile(call);
    return engine.tidy(() => {
      const [rows, logits] = routed(call, x, gate);
      const out = engine.runKernel(MIXTURE_OP, { x: rows, logits }, { store, layer }) as core.Tensor;
      return engine.runKernel('Reshape', { x: out }, { shape: x.shape }) as core.Tensor;
    });
  },
};
