/** Stage 3: runs the optimized float graph on the calibration data and observes ranges and means of tensors. */
import { Sha256 } from '../../base/sha256';
import { type Calibration, type CalibrationProvenance, calibrate } from '../../calibration/runner';
import { type CheckSamples, copiesOf, HeldBack } from '../../evaluation/held-back';
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
  sha256: new Sha256().digest(),
  runtime: 'none',
};

/** For `observedTensors`: the rotation of each low-bit layer's input; undefined for one that is not rotated. */
function inputRotations({ layers, rotations }: Int8Model): Map<string, Rotation | undefined> {
  return new Map([...layers.keys()].map((name) => [name, rotations.get(name)]));
}

/** Those that are held out of the data; where these are few, also some of those that the calibration has seen. */
async function samplesToCheck(
  { source }: Int8Model,
  { heldOut }: Settings,
  held: HeldBack,
): Promise<CheckSamples> {
  if (!heldOut) return held.take();
  return held.beside(await copiesOf(heldOut, source.inputs));
}

/** Only what the graph itself says is known. */
function unobserved(model: Int8Model): ObservedInt8 {
  return {
    activations: 'int8',
    model,
    observations: { ranges: model.graph.ranges ?? new Map(), means: new Map() },
    provenance: NO_DATA,
    checkSamples: { samples: [], heldBack: false },
  };
}

async function observeInt8(model: Int8Model, settings: Settings): Promise<ObservedInt8> {
  const { data, randomData, calibrationMethod, percentile, samples, report, signal } = settings;
  if (!data) return unobserved(model);
  const tensors = observedTensors(model.plan, inputRotations(model));
  const held = new HeldBack(data);
  const calibration = await calibrate(model.graph, tensors, held.source, {
    method: calibrationMethod,
    methodOf: calibrationMethods(settings, model.plan),
    percentile,
    samples,
    signal,
    onProgress: (done, total) => report('calibrate', done, total),
  });
  const checkSamples = await samplesToCheck(model, settings, held);
  const from = ({ provenance, by, ...observations }: Calibration): ObservedInt8 => ({
    activations: 'int8',
    model,
    observations,
    provenance: { ...provenance, ...(randomData && { random: true }) },
    checkSamples,
    calibratedBy(others) {
      const methods = calibrationMethods(others, model.plan);
      const again = by({
        method: others.calibrationMethod,
        methodOf: methods,
        percentile: others.percentile,
      });
      return again && from(again);
    },
  });
  return from(calibration);
}

/** Inputs of low-bit products, whose mean squares weigh the errors of weights. */
function weighingTensors({ layers, inside }: WeightOnlyModel): ObservedTensor[] {
  const tensors = [...layers].flatMap(([name, { weighted, configured, rotation }]): ObservedTensor[] => {
    if (weighted.kind === 'table' || configured.format === 'int8' || inside.has(name)) return [];
    return [{ ref: weighted.op.input, means: true, squares: true, ...(rotation && { rotation }) }];
  });
  return [...new Map(tensors.map((tensor) => [observedKey(tensor), tensor])).values()];
}

async function observeWeightOnly(
  model: WeightOnlyModel,
  { data, samples, report, signal }: Settings,
): Promise<ObservedWeightOnly> {
  const tensors = weighingTensors(model);
  if (!data) return { activations: 'float32', model, provenance: NO_DATA };
  const held = new HeldBack(data);
  if (tensors.length === 0) {
    // Nothing is calibrated: any sample will do.
    for await (const _ of held.source(model.graph.inputs)) break;
    return { activations: 'float32', model, provenance: NO_DATA, checkSamples: held.take() };
  }
  const {
    provenance,
    by: _,
    ...observations
  } = await calibrate(model.graph, tensors, held.source, {
    samples,
    signal,
    onProgress: (done, total) => report('calibrate', done, total),
  });
  return { activations: 'float32', model, observations, provenance, checkSamples: held.take() };
}

/** @throws LowbitError as `calibrate` */
export async function observe(model: OptimizedModel, settings: Settings): Promise<ObservedModel> {
  return model.activations === 'int8' ? observeInt8(model, settings) : observeWeightOnly(model, settings);
}
