/** Stage 3: runs the optimized float graph on the calibration data and observes ranges and means of tensors. */
import { createHash } from 'node:crypto';
import { type CalibrationProvenance, calibrate } from '../../calibration/runner';
import { weightsPerChannel } from '../../passes/linear-op';
import { observedTensors } from '../../passes/quantize/plan/observed-tensors';
import type { Rotation } from '../../quantization/hadamard';
import { type ObservedTensor, observedKey } from '../../quantization/observations';
import { calibrationMethods, type Settings } from '../settings';
import type {
  Int8Model,
  ObservedInt8,
  ObservedModel,
  ObservedWeightOnly,
  OptimizedModel,
  WeightOnlyModel,
} from '../stage-results';

const NO_DATA: CalibrationProvenance = {
  method: 'none',
  samples: 0,
  sha256: createHash('sha256').digest('hex'),
  runtime: 'none',
};

/** For `observedTensors`: the rotation of each low-bit layer's input; undefined for one that is not rotated. */
function inputRotations({ layers, rotations }: Int8Model): Map<string, Rotation | undefined> {
  return new Map([...layers.keys()].map((name) => [name, rotations.get(name)]));
}

async function observeInt8(model: Int8Model, settings: Settings): Promise<ObservedInt8> {
  const { data, randomData, calibrationMethod, percentile, samples, report, signal } = settings;
  const tensors = observedTensors(model.plan, inputRotations(model));
  const { provenance, ...observations } = await calibrate(model.graph, tensors, data!, {
    method: calibrationMethod,
    methodOf: calibrationMethods(settings, model.plan),
    percentile,
    samples,
    signal,
    onProgress: (done, total) => report('calibrate', done, total),
  });
  return {
    activations: 'int8',
    model,
    observations,
    provenance: { ...provenance, ...(randomData && { random: true }) },
  };
}

/** Inputs of low-bit products, whose mean squares weigh the errors of weights. */
function weighingTensors({ layers, inside }: WeightOnlyModel): ObservedTensor[] {
  const tensors = [...layers].flatMap(([name, { weighted, configured, rotation }]): ObservedTensor[] => {
    if (weighted.kind === 'table' || configured.format === 'int8' || inside.has(name)) return [];
    const channels = weightsPerChannel(weighted.op);
    return [{ ref: weighted.op.input, channels, squares: true, ...(rotation && { rotation }) }];
  });
  return [...new Map(tensors.map((tensor) => [observedKey(tensor), tensor])).values()];
}

async function observeWeightOnly(
  model: WeightOnlyModel,
  { data, samples, report, signal }: Settings,
): Promise<ObservedWeightOnly> {
  const tensors = weighingTensors(model);
  if (!data || tensors.length === 0) return { activations: 'float32', model, provenance: NO_DATA };
  const { provenance, ...observations } = await calibrate(model.graph, tensors, data, {
    samples,
    signal,
    onProgress: (done, total) => report('calibrate', done, total),
  });
  return { activations: 'float32', model, observations, provenance };
}

/** @throws LowbitError as `calibrate` */
export async function observe(model: OptimizedModel, settings: Settings): Promise<ObservedModel> {
  return model.activations === 'int8' ? observeInt8(model, settings) : observeWeightOnly(model, settings);
}
