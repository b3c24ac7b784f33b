/** The activation of an op: an attribute of its kernel where the kernel has it, stock ops after the kernel otherwise. */
import { attr } from '../../../graph/attrs';
import type { TensorRef } from '../../../graph/ir';
import { type Activation, type TensorSpec, TensorType } from '../../../program/program';
import { type ActivationName, clampBounds, clampCodes } from '../../../quantization/activation';
import { type Attrs, affineAttrs } from './kernel-attrs';
import type { NodeEmitter } from './node-emitter';

/** Adds the kernel, with the attributes of its activation. */
type EmitKernel = (attrs: Attrs) => TensorRef;

const KERNEL_CLAMPS = ['linear', 'relu', 'relu6'] as const;

/** The activation that clamps codes of this quantization to these bounds, if one of the kernels' does. */
function clampName(codeMin: number, codeMax: number, params: TensorSpec): string | undefined {
  return KERNEL_CLAMPS.find((name) => {
    const codes = clampCodes(clampBounds(name)!, params);
    return codes.codeMin === codeMin && codes.codeMax === codeMax;
  });
}

/**
 * A kernel that stores float32.
 *
 * @param own clamps that the kernel has
 */
export function emitClampedFloat(
  emitter: NodeEmitter,
  name: string,
  { floatMin, floatMax }: Pick<Activation, 'floatMin' | 'floatMax'>,
  emit: EmitKernel,
  own: readonly ActivationName[] = KERNEL_CLAMPS,
): TensorRef {
  const bounds = [floatMin ?? Number.NEGATIVE_INFINITY, floatMax ?? Number.POSITIVE_INFINITY];
  const known = own.find((n) => clampBounds(n)!.every((b, i) => b === bounds[i]));
  if (known) return emit({ activation: attr.string(known) });
  const [min, max] = bounds.map((b, i) => emitter.constant(`${name}/bound_${i}`, Float32Array.of(b), []));
  return emitter.node(name, 'ClipByValue', [emit({}), min, max], { T: attr.dtype('float32') });
}

/** A kernel that stores codes. */
function emitActivatedCodes(
  emitter: NodeEmitter,
  name: string,
  result: TensorSpec,
  activation: Activation,
  emit: EmitKernel,
): TensorRef {
  const { tableOffset, preScale = 1, preZeroPoint = 0, codeMin = -128, codeMax = 127 } = activation;
  const before = tableOffset === undefined ? result : { ...result, scale: preScale, zeroPoint: preZeroPoint };
  const known = clampName(codeMin, codeMax, before);
  const codes = emit({ ...affineAttrs('output', before), ...(known && { activation: attr.string(known) }) });
  const clamped = known ? codes : emitter.clampedCodes(name, codes, codeMin, codeMax);
  return tableOffset === undefined ? clamped : emitter.lookup(name, clamped, tableOffset, 'codes');
}

/** A kernel that stores codes or float32. */
export function emitActivated(
  emitter: NodeEmitter,
  name: string,
  result: TensorSpec,
  activation: Activation,
  emit: EmitKernel,
): TensorRef {
  return result.type === TensorType.Float32
    ? emitClampedFloat(emitter, name, activation, emit)
    : emitActivatedCodes(emitter, name, result, activation, emit);
}
