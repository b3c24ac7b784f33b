/** Conversion of a float TF.js model into one whose quantized regions run as native INT8 programs. */
import { dirname, resolve } from 'node:path';
import { checkArgument, LowbitError } from '../base/errors';
import { VERSION } from '../base/version';
import { measureChannelMaxima } from '../calibration/channel-maxima';
import { unlabelled } from '../calibration/data/labelled';
import { randomSamples } from '../calibration/data/random';
import { CALIBRATION_METHODS } from '../calibration/observers/methods';
import { type CalibrationProvenance, calibrate } from '../calibration/runner';
import { measureSensitivity } from '../evaluation/sensitivity';
import { ARTEFACT_FORMAT_VERSION } from '../graph/artefact';
import { countMacs } from '../graph/count-macs';
import { refKey } from '../graph/edit';
import type { Graph } from '../graph/ir';
import { mixturesOf } from '../graph/mixture';
import { modelBytes, toPath } from '../graph/read-graph-model';
import { readModel } from '../graph/read-model';
import type { LabelledSource, SampleSource } from '../graph/samples';
import { checkOutputFolder, writeGraphModel } from '../graph/write-graph-model';
import { equalizeActivations } from '../passes/equalize-activations';
import type { Change, PassResult } from '../passes/pass';
import { optimize } from '../passes/pipeline';
import type { EncodedLayer } from '../passes/quantize/lower/encode-layer';
import type { WeightOptions } from '../passes/quantize/lower/weight-options';
import type { ActivationPrecision } from '../passes/quantize/match/quantizable';
import { floatInOutNodes } from '../passes/quantize/plan/float-in-out-nodes';
import { observedTensors } from '../passes/quantize/plan/observed-tensors';
import { floatAnyway, planQuantization, type QuantizationPlan } from '../passes/quantize/plan/plan';
import { type QuantizeOptions, quantizeGraph } from '../passes/quantize/quantize-graph';
import type { FilterCodes } from '../quantization/affine';
import { ROTATION_BLOCKS, type Rotation } from '../quantization/hadamard';
import { ACTIVATIONS, GROUPS, MAX_TARGET_BITS, WEIGHT_FORMATS } from '../quantization/layer-weights';
import type { Observations } from '../quantization/observations';
import { WEIGHT_RANGES } from '../quantization/weight-range';
import { type AccuracyReport, controlAccuracy } from './accuracy-control';
import type { BitAllocation } from './bit-allocation';
import type { Config, LayerConfig } from './config/config';
import { Settings, type SettingsOptions } from './config/settings';
import { BIAS_CORRECTIONS, correctedObservations } from './correction/bias-correction';
import { checkExpertOptions, type ExpertPackOptions, type ExpertReport, withPackedExperts } from './experts';
import { mixWidths } from './mix-widths';
import { roundWeights } from './round-weights';
import { type Tuning, tune } from './tune';
import { convertWeights } from './weight-only';
import {
  averageBits,
  encodeWeights,
  inputRotations,
  planWeights,
  type WeightPlan,
  type WeightRecord,
  weightRecords,
} from './weights';

export const DEFAULT_SAMPLES = 128;

const SCHEME = 'int8: activations per tensor, affine; weights per output channel, symmetric';

export type ConvertStage =
  | 'read'
  | 'tune'
  | 'optimize'
  | 'calibrate'
  | 'encode weights'
  | 'correct'
  | 'refine'
  | 'measure layers'
  | 'quantize'
  | 'pack experts'
  | 'write';

export interface ConvertProgress {
  stage: ConvertStage;
  done: number;
  total: number;
}

/** What may be said of a conversion, wherever the model comes from and goes to. */
export interface QuantizationOptions extends SettingsOptions {
  /**
   * Tries percentile ranges, equalization and error feedback, those of them that nothing else is said of, and keeps what
   * leaves less noise in the outputs: `validation`'s, at most 64 samples. Takes some conversions more. Default false.
   */
  tune?: boolean;
  /** Leaves the fewest layers in float with which the model loses at most this many points of top-1 on `validation`. */
  maxDrop?: number;
  /** The same with at least this signal-to-noise, in dB, at every output. */
  minSignalToNoise?: number;
  /** What `maxDrop` and `minSignalToNoise` are measured on. Default: the calibration data, which has no labels. */
  validation?: LabelledSource;
  /** How many samples of it to use at most. Default 128. */
  validationSamples?: number;
  onProgress?(progress: ConvertProgress): void;
  /** Aborts the conversion; nothing is left behind. */
  signal?: AbortSignal;
}

export interface ConvertOptions extends QuantizationOptions {
  /** Path or file URL of the float model's model.json. */
  input: string;
  /** Folder for the converted model. */
  output: string;
  /**
   * Representative samples, prepared as the model takes them; `random`: numbers of no meaning, for trying out. May be
   * left out where activations stay float32: errors of weights then count alike.
   */
  calibration?: SampleSource | 'random';
  /** Replace an output folder that holds a model other than one of ours. Default false. */
  overwrite?: boolean;
  /** Of a model with `MoELayer`s: how their experts are packed into a file beside the model. */
  experts?: ExpertPackOptions;
}

/** A node of the optimized graph and where it runs. */
export interface NodeRecord extends Partial<WeightRecord> {
  readonly name: string;
  readonly op: string;
  /** For a node that computes others at the same time, a fused activation say: the node whose result it stores. */
  readonly output?: string;
  /** For a node with weights in INT8: signal-to-noise of the quantized weights, in dB. */
  readonly weightSignalToNoise?: number;
  /** How it multiplies, or serves a layer that multiplies, real values: in a layer with int16 or dynamic activations. */
  readonly real?: ActivationPrecision;
  /** Why a node stays float. */
  readonly reason?: string;
  /** Its result is that of the float model times this rotation. */
  readonly rotatedResult?: Rotation;
}

/** What a conversion did to the model. */
export interface QuantizationReport {
  readonly quantized: readonly NodeRecord[];
  readonly float: readonly NodeRecord[];
  /** How many native programs the quantized nodes became. */
  readonly regions: number;
  /** What the passes before quantization did, and what they declined. */
  readonly changes: readonly Change[];
  /** Multiply-accumulates for one sample. */
  readonly macs: {
    readonly total: number;
    readonly int8: number;
    readonly int16: number;
    /** In INT8, of all. */
    readonly percent: number;
    /** In INT8 or int16, of all. */
    readonly integerPercent: number;
  };
  readonly calibration: CalibrationProvenance;
  /** With `tune`: what was tried. */
  readonly tuning?: Tuning;
  /** With a bar on accuracy: how it was met. */
  readonly accuracy?: AccuracyReport;
  /** Stored bits of a weight on average over all quantized layers, scales counted. */
  readonly bitsPerWeight: number;
  /** With a target for it: what each layer costs at each width, and which it got. */
  readonly allocation?: BitAllocation;
  /** All that was decided, in a form that `config` takes. */
  readonly config: Config;
  readonly warnings: readonly string[];
}

export interface ConvertReport extends QuantizationReport {
  /** Folder of the converted model. */
  readonly output: string;
  /** Model files on disk. */
  readonly bytes: { readonly before: number; readonly after: number };
  /** Of a model with a mixture of experts. */
  readonly experts?: ExpertReport;
}

export function checkQuantizationOptions(options: QuantizationOptions): void {
  const { samples, percentile, calibrationMethod, weightRange, biasCorrection } = options;
  const wholeSamples = samples === undefined || (Number.isInteger(samples) && samples > 0);
  checkArgument(wholeSamples, 'samples', 'a positive integer', samples);
  const share = percentile === undefined || (percentile > 50 && percentile <= 100);
  checkArgument(share, 'percentile', 'a number above 50, at most 100', percentile);
  const known = calibrationMethod === undefined || CALIBRATION_METHODS.includes(calibrationMethod);
  checkArgument(known, 'calibrationMethod', `one of ${CALIBRATION_METHODS.join(', ')}`, calibrationMethod);
  const range = weightRange === undefined || WEIGHT_RANGES.includes(weightRange);
  checkArgument(range, 'weightRange', `one of ${WEIGHT_RANGES.join(', ')}`, weightRange);
  const correction = biasCorrection === undefined || BIAS_CORRECTIONS.includes(biasCorrection);
  checkArgument(correction, 'biasCorrection', `one of ${BIAS_CORRECTIONS.join(', ')}`, biasCorrection);
  for (const name of ['maxDrop', 'minSignalToNoise'] as const) {
    checkArgument(Number.isFinite(options[name] ?? 0), name, 'a finite number', options[name]);
  }
  const { int16 = 0 } = options;
  const count = Array.isArray(int16) || (Number.isInteger(int16) && (int16 as number) >= 0);
  checkArgument(count, 'int16', 'a number of layers, or names and patterns', int16);
  const { validationSamples } = options;
  checkWeightOptions(options);
  const whole =
    validationSamples === undefined || (Number.isInteger(validationSamples) && validationSamples > 0);
  checkArgument(whole, 'validationSamples', 'a positive integer', validationSamples);
}

function checkWeightOptions({ weights, group, rotate, targetBits, activations }: QuantizationOptions): void {
  const type = activations === undefined || ACTIVATIONS.includes(activations);
  checkArgument(type, 'activations', `one of ${ACTIVATIONS.join(', ')}`, activations);
  const format = weights === undefined || WEIGHT_FORMATS.includes(weights);
  checkArgument(format, 'weights', `one of ${WEIGHT_FORMATS.join(', ')}`, weights);
  checkArgument(group === undefined || GROUPS.includes(group), 'group', `one of ${GROUPS.join(', ')}`, group);
  const block = typeof rotate !== 'number' || ROTATION_BLOCKS.includes(rotate);
  checkArgument(block, 'rotate', `true, false or one of ${ROTATION_BLOCKS.join(', ')}`, rotate);
  const bits = targetBits === undefined || (targetBits > 2 && targetBits <= MAX_TARGET_BITS);
  checkArgument(bits, 'targetBits', `a number above 2, at most ${MAX_TARGET_BITS}`, targetBits);
}

function checkOptions({ input, output, calibration, experts }: ConvertOptions): void {
  checkArgument(typeof input === 'string' && input !== '', 'input', 'the path of a model.json', input);
  checkArgument(typeof output === 'string' && output !== '', 'output', 'the path of a folder', output);
  const source = typeof calibration === 'function' || calibration === 'random' || calibration === undefined;
  checkArgument(source, 'calibration', "a source of samples or 'random'", calibration);
  if (experts) checkExpertOptions(experts);
  if (resolve(output) === dirname(toPath(input))) {
    throw new LowbitError(
      'invalid-argument',
      `The output folder ${output} is the folder of the input model; choose another.`,
    );
  }
}

/** Splits the nodes of the optimized graph by where they run; constants and placeholders run nowhere. */
export function nodeRecords(
  { graph, plan, rotatedResults }: WeightPlan,
  fidelity: ReadonlyMap<string, number>,
  weights: ReadonlyMap<string, WeightRecord>,
) {
  const quantized = plan.regions.flatMap((region) => {
    const results = new Map(
      region.steps.flatMap((step) => (step.kind === 'op' ? [[step.node.name, step.store.result.node]] : [])),
    );
    return region.nodes.map(({ name, op }): NodeRecord => {
      const decibels = fidelity.get(name);
      const output = results.get(name);
      return {
        name,
        op,
        ...(output !== undefined && output !== name && { output }),
        ...(decibels !== undefined && { weightSignalToNoise: Math.round(decibels * 10) / 10 }),
        ...weights.get(name),
        ...(rotatedResults.has(name) && { rotatedResult: rotatedResults.get(name) }),
        ...(plan.precisions.has(name) && { real: plan.precisions.get(name) }),
      };
    });
  });
  const float = [...plan.float].map(
    ([name, reason]): NodeRecord => ({ name, op: graph.nodes.get(name)!.op, reason }),
  );
  return { quantized, float };
}

export function macsOf(graph: Graph, plan: QuantizationPlan): ConvertReport['macs'] {
  const sum = (nodes: Iterable<Parameters<typeof countMacs>[2]>) =>
    [...nodes].reduce((total, node) => total + countMacs(graph, plan.shapes, node), 0);
  const total = sum(graph.nodes.values());
  const wide = [...plan.precisions].filter(([, precision]) => precision === 'int16');
  const int16 = sum(wide.map(([name]) => graph.nodes.get(name)!));
  const int8 = sum(plan.regions.flatMap((r) => r.nodes)) - int16;
  const percent = (part: number) => (total === 0 ? 0 : (100 * part) / total);
  return { total, int8, int16, percent: percent(int8), integerPercent: percent(int8 + int16) };
}

interface SchemeOptions {
  readonly equalized?: boolean;
  readonly scheme?: string;
  /** Of what quantized nodes compute. */
  readonly precision?: 'int8' | 'float32';
}

/** What `userDefinedMetadata.lowbit` tells about a converted model. No times: the same input gives the same bytes. */
export function withMetadata(
  graph: Graph,
  records: ReturnType<typeof nodeRecords>,
  calibration: CalibrationProvenance,
  { equalized = false, scheme = SCHEME, precision = 'int8' }: SchemeOptions = {},
): Graph {
  const formats = new Set(
    records.quantized.flatMap(({ weights = 'int8' }) => (weights === 'int8' ? [] : [weights])),
  );
  const lowbit = {
    formatVersion: ARTEFACT_FORMAT_VERSION,
    toolVersion: VERSION,
    scheme: [scheme, ...formats].join('; weights of some layers '),
    calibration,
    ...(equalized && { equalized }),
    layers: [
      ...records.quantized.map(({ real, ...record }) => ({
        ...record,
        precision: real === 'dynamic' ? 'dynamic int8' : (real ?? precision),
      })),
      ...records.float.map((record) => ({ ...record, precision: 'float32' })),
    ],
  };
  const { userDefinedMetadata, ...source } = graph.source;
  return {
    ...graph,
    source: {
      ...source,
      convertedBy: `tfjs-lowbit v${VERSION}`,
      userDefinedMetadata: { ...(userDefinedMetadata as object | undefined), lowbit },
    },
  };
}

export function requireRegions(graph: Graph, plan: QuantizationPlan): void {
  if (plan.regions.length > 0 || mixturesOf(graph).length > 0) return;
  const reasons = [...new Set(plan.float.values())].slice(0, 5).join('; ');
  throw new LowbitError(
    'invalid-model',
    `Nothing in this model can be quantized: ${reasons || 'it has no ops'}.`,
  );
}

/** What a pattern asked for and cannot be done. */
function weightWarnings({ kept }: WeightPlan, settings: Settings): string[] {
  return [...kept].flatMap(([name, reason]) =>
    settings.weightsOf(name).byPattern ? [`The weights of '${name}' stay in INT8: ${reason}.`] : [],
  );
}

function calibrationWarnings(
  calibration: SampleSource | 'random',
  { samples }: Settings,
  seen: CalibrationProvenance,
): string[] {
  const warnings: string[] = [];
  if (calibration === 'random') {
    warnings.push(
      'Calibrated on random data: the ranges are guesses. Convert again with data that the model will see.',
    );
  }
  if (samples !== undefined && seen.samples < samples) {
    warnings.push(`The calibration data has ${seen.samples} samples, fewer than the ${samples} asked for.`);
  }
  return warnings;
}

export function progressOf({ onProgress, signal }: QuantizationOptions) {
  return (stage: ConvertStage, done: number, total: number) => {
    if (signal?.aborted)
      throw new LowbitError('cancelled', 'The conversion was cancelled; nothing was left behind.');
    onProgress?.({ stage, done, total });
  };
}

/** The graph after all rewrites; those that need data come last. */
export async function optimized(
  source: Graph,
  data: SampleSource,
  settings: Settings,
  options: { samples: number; signal?: AbortSignal },
): Promise<PassResult> {
  const { graph, changes } = optimize(source);
  if (!settings.equalize) return { graph, changes };
  const { regions, shapes } = planQuantization(graph, { float: settings.float(graph) });
  const tensors = new Map(regions.flatMap((r) => r.observed).map((ref) => [refKey(ref), ref]));
  const maxima = await measureChannelMaxima(graph, [...tensors.values()], data, options);
  const nodes = regions.flatMap((r) => r.nodes);
  const equalized = equalizeActivations(graph, shapes, nodes, maxima);
  return { graph: equalized.graph, changes: [...changes, ...equalized.changes] };
}

/** The layers that get int16 or dynamic activations as asked, by name. */
async function floatInOutLayers(
  graph: Graph,
  plan: QuantizationPlan,
  observations: Observations,
  data: LabelledSource,
  settings: Settings,
  { weightRange, filters, rounded, lowBit, onProgress, signal }: QuantizationOptions & WeightOptions,
): Promise<ReadonlyMap<string, ActivationPrecision>> {
  const named = settings.floatInOutLayers(graph, plan);
  if (settings.costliestInt16 === 0) return named;
  const { layers } = await measureSensitivity(graph, plan, observations, data, {
    weights: { weightRange, filters, rounded, lowBit },
    signal,
    onProgress: (done, total) => onProgress?.({ stage: 'measure layers', done, total }),
  });
  for (const { name } of layers.slice(0, settings.costliestInt16)) named.set(name, 'int16');
  return named;
}

/** The plan with what gets more than 8 bits, as asked or for the bar on accuracy, if there is one. */
async function refinedPlan(
  graph: Graph,
  plan: QuantizationPlan,
  observations: Observations,
  data: SampleSource,
  settings: Settings,
  options: QuantizationOptions & WeightOptions,
): Promise<Pick<Decided, 'plan' | 'precisions' | 'accuracy'>> {
  const { maxDrop, minSignalToNoise, validation = unlabelled(data), validationSamples, signal } = options;
  const precisions = await floatInOutLayers(graph, plan, observations, validation, settings, options);
  if (maxDrop === undefined && minSignalToNoise === undefined) {
    if (precisions.size === 0) return { plan, precisions };
    const nodes = floatInOutNodes(graph, plan, precisions);
    return { plan: planQuantization(graph, { float: floatAnyway(plan), precisions: nodes }), precisions };
  }
  const bar = { maxDrop, minSignalToNoise };
  const found = await controlAccuracy(graph, plan, observations, validation, bar, {
    precisions,
    weightRange: options.weightRange,
    filters: options.filters,
    rounded: options.rounded,
    lowBit: options.lowBit,
    samples: validationSamples,
    signal,
    onTrial: (trials) => options.onProgress?.({ stage: 'refine', done: trials, total: trials }),
  });
  const { precision, kept } = found.accuracy;
  const chosen = precision === 'float' ? [] : kept.map(({ name }) => [name, precision] as const);
  return { ...found, precisions: new Map([...precisions, ...chosen]) };
}

/** A model ready to be quantized. */
export interface Prepared {
  readonly weightPlan: WeightPlan;
  readonly observations: Observations;
  readonly provenance: CalibrationProvenance;
  readonly lowBit: ReadonlyMap<string, EncodedLayer>;
  /** INT8 weights that were rounded with error feedback, by node. */
  readonly rounded?: ReadonlyMap<string, FilterCodes>;
  readonly allocation?: BitAllocation;
  readonly changes: readonly Change[];
  readonly samples: number;
}

/** Everything up to the quantization itself: rewrites, plan, ranges, low-bit weights. */
export async function prepare(
  source: Graph,
  data: SampleSource,
  settings: Settings,
  options: QuantizationOptions,
): Promise<Prepared> {
  const { signal } = options;
  const report = progressOf(options);
  const { method, percentile, samples = DEFAULT_SAMPLES, errorFeedback } = settings;
  const { graph, changes } = await optimized(source, data, settings, { samples, signal });
  const whole = planQuantization(graph, { float: settings.float(graph) });
  requireRegions(graph, whole);
  const everything = planWeights(graph, whole, settings);
  const observed = observedTensors(everything.plan, inputRotations(everything));
  const { provenance, ...observations } = await calibrate(everything.graph, observed, data, {
    method,
    methodOf: settings.methods(everything.plan),
    percentile,
    samples,
    signal,
    onProgress: (done, total) => report('calibrate', done, total),
  });
  const onProgress = (done: number, total: number) => report('encode weights', done, total);
  const encoding = { samples, signal, onProgress };
  const mixed =
    settings.targetBits === undefined
      ? { plan: everything }
      : await mixWidths(everything, observations, data, settings, {
          ...encoding,
          weightRange: settings.weightRange,
          validation: options.validation ?? unlabelled(data),
          onProgress: (done, total) => report('measure layers', done, total),
        });
  const lowBit = await encodeWeights(mixed.plan, observations, data, { ...encoding, errorFeedback });
  const rounded = errorFeedback
    ? await roundWeights(mixed.plan, observations, data, { ...encoding, weightRange: settings.weightRange })
    : undefined;
  return {
    weightPlan: mixed.plan,
    observations,
    provenance,
    lowBit,
    ...(rounded && { rounded }),
    ...('allocation' in mixed && { allocation: mixed.allocation }),
    changes: [...changes, ...everything.changes],
    samples,
  };
}

/** All that a quantization takes. */
export interface Decided extends Omit<Prepared, 'lowBit' | 'rounded'> {
  readonly weights: QuantizeOptions & Required<Pick<WeightOptions, 'lowBit'>>;
  /** With what gets more than 8 bits. */
  readonly plan: QuantizationPlan;
  /** Layers with int16 or dynamic activations, by name. */
  readonly precisions: ReadonlyMap<string, ActivationPrecision>;
  readonly accuracy?: AccuracyReport;
}

/** Everything up to the quantization itself, and what gets more than 8 bits. */
export async function decide(
  source: Graph,
  data: SampleSource,
  settings: Settings,
  options: QuantizationOptions,
): Promise<Decided> {
  const { lowBit, rounded, ...prepared } = await prepare(source, data, settings, options);
  const { graph, plan } = prepared.weightPlan;
  const { weightRange, regions } = settings;
  const weights = { weightRange, regions, filters: new Map(), rounded, lowBit };
  const report = progressOf(options);
  const observations = await correctedObservations(graph, plan, prepared.observations, data, {
    ...weights,
    method: settings.biasCorrection,
    samples: prepared.samples,
    signal: options.signal,
    onProgress: (done, total) => report('correct', done, total),
  });
  const refined = await refinedPlan(graph, plan, observations, data, settings, { ...options, ...weights });
  return { ...prepared, weights, observations, ...refined };
}

/** What a configuration says of a layer, for the same to be decided again. */
function decidedLayers(plan: WeightPlan, settings: Settings, precisions: Decided['precisions']) {
  const weightsOf = decidedWeights(plan, settings);
  return (name: string): Partial<LayerConfig> => ({
    ...weightsOf(name),
    ...(precisions.has(name) && { activations: precisions.get(name) }),
  });
}

/** What a configuration says of the weights of a layer, for the same to be decided again. */
function decidedWeights({ layers, kept, rotations, folded }: WeightPlan, settings: Settings) {
  return (name: string): Partial<LayerConfig> => {
    const asked = settings.weightsOf(name);
    if (kept.has(name)) return asked.byPattern ? { weights: asked.format } : {};
    const turned = rotations.has(name) || folded.has(name);
    const rotate = turned && (asked.block as (typeof ROTATION_BLOCKS)[number]);
    const layer = layers.get(name);
    if (layer) return { weights: layer.weights.format, group: layer.weights.group, rotate };
    return { bits: 8 as const, ...(turned && { rotate }) };
  };
}

/** The same with the ways to recover accuracy that suit the model. */
async function convertTuned(
  source: Graph,
  calibration: SampleSource | 'random' | undefined,
  options: QuantizationOptions,
): ReturnType<typeof convertGraph> {
  const { activations } = new Settings(options);
  checkArgument(typeof calibration === 'function', 'calibration', 'samples to tune on', calibration);
  checkArgument(activations === 'int8', 'activations', 'int8, which is what is tuned,', activations);
  const data = calibration as SampleSource;
  const found = await tune(source, data, options, (chosen) => convertGraph(source, data, chosen));
  const converted = await convertGraph(source, data, { ...options, ...found.options, tune: false });
  return { ...converted, tuning: found.tuning };
}

/**
 * Converts a float graph in memory.
 *
 * @throws LowbitError as `convert`
 */
export async function convertGraph(
  source: Graph,
  calibration: SampleSource | 'random' | undefined,
  options: QuantizationOptions,
): Promise<QuantizationReport & { readonly graph: Graph }> {
  checkQuantizationOptions(options);
  if (options.tune) return convertTuned(source, calibration, options);
  const settings = new Settings(options);
  if (settings.activations === 'float32') return convertWeights(source, calibration, settings, options);
  checkArgument(calibration !== undefined, 'calibration', "a source of samples or 'random'", calibration);
  const report = progressOf(options);
  const data = calibration === 'random' ? randomSamples() : calibration;
  report('optimize', 0, 1);
  const decided = await decide(source, data, settings, options);
  const { weightPlan, weights, observations, plan, precisions, accuracy, allocation, changes, samples } =
    decided;
  const { graph } = weightPlan;
  const { lowBit } = weights;
  const provenance =
    calibration === 'random' ? { ...decided.provenance, random: true as const } : decided.provenance;
  report('quantize', 0, 1);
  const quantized = quantizeGraph(graph, plan, observations, weights);
  const final = { ...weightPlan, plan };
  const records = nodeRecords(final, quantized.weightFidelity, weightRecords(final, lowBit));
  return {
    graph: withMetadata(quantized.graph, records, provenance, { equalized: settings.equalize }),
    ...records,
    regions: plan.regions.length,
    changes,
    macs: macsOf(graph, plan),
    calibration: provenance,
    ...(accuracy && { accuracy }),
    bitsPerWeight: averageBits(final, lowBit),
    ...(allocation && { allocation }),
    config: settings.effective(
      plan,
      observedTensors(plan).map(({ ref }) => ref.node),
      samples,
      decidedLayers(weightPlan, settings, precisions),
    ),
    warnings: [
      ...settings.warnings(graph),
      ...weightWarnings(weightPlan, settings),
      ...calibrationWarnings(calibration, settings, provenance),
    ],
  };
}

/**
 * Converts a float model, graph model or layers model, to INT8.
 *
 * @returns what was quantized, what stays float and why, and the sizes
 * @throws LowbitError 'invalid-argument' for a wrong option; 'io', 'invalid-model', 'invalid-weights' or
 *   'already-converted' for the input model; 'invalid-shape' or 'invalid-range' for calibration data that does not fit;
 *   'cancelled' on abort. The output folder is complete or untouched.
 *
 * @example
 * const report = await convert({
 *   input: 'mobilenet/model.json',
 *   output: 'mobilenet-int8',
 *   calibration: imageFolder('photos', { mean: 127.5, std: 127.5 }),
 * });
 */
export async function convert(options: ConvertOptions): Promise<ConvertReport> {
  checkOptions(options);
  checkQuantizationOptions(options);
  const { overwrite = false, signal } = options;
  const report = progressOf(options);
  report('read', 0, 1);
  await checkOutputFolder(options.output, overwrite);
  const source = await readModel(options.input);
  const converted = await convertGraph(source, options.calibration, options);
  const packed = withPackedExperts(converted, options.experts, report);
  const { graph, ...result } = packed?.converted ?? converted;
  report('write', 0, 1);
  const after = await writeGraphModel(graph, options.output, {
    overwrite,
    signal,
    writeExperts: packed?.write,
  });
  return {
    output: resolve(options.output),
    ...result,
    bytes: { before: await modelBytes(options.input), after },
    ...(packed && { experts: packed.report() }),
  };
}
