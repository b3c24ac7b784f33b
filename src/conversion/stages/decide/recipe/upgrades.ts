/** Layers in higher precision, ranked by the noise that it takes away for the time that it adds. */
import { type LayerSensitivity, measureSensitivity } from '../../../../evaluation/sensitivity';
import { countMacs } from '../../../../graph/count-macs';
import { output } from '../../../../graph/edit';
import { groupCopies } from '../../../../graph/turns';
import type { ActivationPrecision } from '../../../../passes/quantize/match/quantizable';
import { layersOf } from '../../../../passes/quantize/plan/layers';
import type { Precision } from '../../../report-types';
import type { Int8Decision } from '../../../stage-results';
import { planWithPrecisions, timeOfLayers } from '../layer-precisions';
import type { Climb, Precisions, Trial } from './climb';

/** Times of a multiply-accumulate above that of static INT8, which is 1. */
const ADDED_MACS: Readonly<Record<Precision, number>> = { dynamic: 0.3, int16: 1, float: 10 };

/** Work that measuring the layers one by one may take, in multiply-accumulates of the float model. */
const SENSITIVITY_MACS = 4e10;

/** Running a node in TF.js takes as long as so many of them, whatever it computes. */
const NODE_MACS = 3e5;

/** Samples that layers are measured on one by one at most. */
const MAX_SENSITIVITY_SAMPLES = 8;

/** The layers of a plan by name; the turns of a loop by that of one of them, in the middle. */
function layersByName({ graph, plan }: Int8Decision['model']): Map<string, readonly string[]> {
  const names = layersOf(graph, plan).map(({ name }) => name);
  return groupCopies(graph, names, (name) => output(name));
}

/** A decision with layers in higher precision, and with each all of its copies. */
export function withPrecisions(base: Int8Decision, layers: Precisions): Int8Decision {
  const { graph, plan } = base.model;
  const precisions = new Map(base.precisions);
  const float: string[] = [];
  const named = layersByName(base.model);
  for (const [layer, precision] of layers) {
    for (const name of named.get(layer) ?? [layer]) {
      if (precision === 'float') float.push(name);
      else precisions.set(name, precision);
    }
  }
  return { ...base, plan: planWithPrecisions(graph, plan, precisions, float), precisions };
}

/** A decision with its tables in float. */
export function withFloatTables(base: Int8Decision): Int8Decision {
  const { model, precisions } = base;
  const plan = planWithPrecisions(model.graph, model.plan, new Map(), [...model.plan.tables.keys()]);
  return {
    ...base,
    model: { ...model, plan },
    plan: precisions.size === 0 ? plan : planWithPrecisions(model.graph, plan, precisions),
  };
}

/** One layer in a higher precision than before. */
export interface Upgrade {
  readonly layer: string;
  readonly precision: Precision;
}

/** Time that a precision adds to a layer and its copies, in multiply-accumulates. */
export function addedCosts(model: Int8Decision['model']) {
  const timeOf = timeOfLayers(model.graph, model.plan);
  const named = layersByName(model);
  return (layer: string, precision: Precision): number =>
    timeOf(layer, ADDED_MACS[precision]) * (named.get(layer)?.length ?? 1);
}

/** Layers that stay static where int16 activations are requested: there is no other form of them. */
function withoutInt16(base: Int8Decision): ReadonlySet<string> {
  const { graph, plan } = base.model;
  const layers = layersOf(graph, plan);
  const { refused } = withPrecisions(base, new Map(layers.map(({ name }) => [name, 'int16']))).plan;
  return new Set(
    layers.flatMap(({ name, nodes }) => ([...nodes].some((node) => refused.has(node)) ? [name] : [])),
  );
}

/** A layer in one precision. */
interface Form {
  readonly layer: string;
  readonly precision: Precision;
  /** That it alone causes. */
  readonly noise: number;
  readonly cost: number;
}

/**
 * The precisions of a layer that save the most noise for their cost, each more precise than the one before: the lower
 * convex hull of noise over cost.
 */
function stepsUp(forms: readonly Form[], noise: number): (Upgrade & { worth: number })[] {
  const steps: (Upgrade & { worth: number })[] = [];
  let from = { noise, cost: 0 };
  while (true) {
    const better = forms
      .filter((form) => form.cost > from.cost && form.noise < from.noise)
      .map((form) => ({ form, worth: (from.noise - form.noise) / (form.cost - from.cost) }))
      .sort((a, b) => b.worth - a.worth);
    if (better.length === 0) return steps;
    const [{ form, worth }] = better;
    steps.push({ layer: form.layer, precision: form.precision, worth });
    from = form;
  }
}

/** By layer, the noise that it alone causes, of the signal, over the outputs that fall short; copies are taken to cause as much each. */
function noiseOf(
  layers: readonly LayerSensitivity[],
  short: ReadonlySet<string>,
  copies: (layer: string) => number,
): Map<string, number> {
  const noise = ({ outputs }: LayerSensitivity) =>
    outputs.reduce((sum, o) => sum + (short.has(o.name) ? 10 ** (-o.signalToNoise / 10) : 0), 0);
  return new Map(layers.map((layer) => [layer.name, copies(layer.name) * noise(layer)]));
}

/** The same in a higher precision: by as much less as there is in the layers' own results. */
function scaledNoise(
  noise: ReadonlyMap<string, number>,
  before: readonly LayerSensitivity[],
  after: readonly LayerSensitivity[],
): Map<string, number> {
  const own = new Map(before.map(({ name, ownSignalToNoise }) => [name, ownSignalToNoise]));
  return new Map(
    after.map(({ name, ownSignalToNoise }) => {
      const gain = ownSignalToNoise - own.get(name)!;
      return [name, gain > 0 ? noise.get(name)! * 10 ** (-gain / 10) : noise.get(name)!];
    }),
  );
}

/**
 * Measures the layers one by one.
 *
 * @param from the model whose layers are measured
 * @returns upgrades of layers, those first that take away the most noise for the time that they add; the noise of layers
 *   adds up
 */
export async function rankUpgrades(climb: Climb, from: Trial): Promise<Upgrade[]> {
  const { goal, settings } = climb;
  const { report, signal } = settings;
  const { model, observations, weights } = from.decision;
  const { graph, plan } = model;
  const macs = [...graph.nodes.values()].reduce(
    (sum, node) => sum + countMacs(graph, plan.shapes, node) + NODE_MACS,
    0,
  );
  const named = layersByName(model);
  const copies = (layer: string) => named.get(layer)?.length ?? 1;
  const each = macs * named.size;
  const samples = Math.max(1, Math.min(MAX_SENSITIVITY_SAMPLES, Math.floor(SENSITIVITY_MACS / each)));
  const { regions: _, ...rest } = weights;
  const measure = async (precision?: ActivationPrecision) => {
    const onProgress = (done: number, total: number) => report('measure layers', done, total);
    const own = precision !== undefined;
    const only = new Set(named.keys());
    const options = { samples, weights: rest, only, precision, own, signal, onProgress };
    const judged = goal.judgedOf(graph);
    return (await measureSensitivity(judged, plan, observations, goal.source, options)).layers;
  };
  climb.layers = await measure();
  const asStatic = noiseOf(climb.layers, from.short, copies);
  const asDynamic = scaledNoise(asStatic, climb.layers, await measure('dynamic'));
  const asInt16 = scaledNoise(asStatic, climb.layers, await measure('int16'));
  const costOf = addedCosts(model);
  const onlyFloat = withoutInt16(from.decision);
  const upgrades = [...asStatic].flatMap(([layer, noise]) => {
    // What has no form in a precision is computed in float32 there.
    const forms = [
      { precision: 'dynamic' as const, noise: asDynamic.get(layer) ?? 0 },
      { precision: 'int16' as const, noise: asInt16.get(layer) ?? 0 },
    ];
    const known = onlyFloat.has(layer) ? [{ precision: 'float' as const, noise: 0 }] : forms;
    const all = known.map((form) => ({ ...form, layer, cost: costOf(layer, form.precision) }));
    return stepsUp(all, noise);
  });
  return upgrades.sort((a, b) => b.worth - a.worth);
}

/** The precisions after some upgrades, in whatever order: the highest of each layer. */
export function after(upgrades: readonly Upgrade[]): Map<string, Precision> {
  const of = (precision: Precision) => upgrades.filter((each) => each.precision === precision);
  const all = [...of('dynamic'), ...of('int16'), ...of('float')];
  return new Map(all.map(({ layer, precision }) => [layer, precision]));
}

/** Names what a model has, as `12 dynamic, 3 int16`. */
export function describe(precisions: Precisions): string {
  const counts = new Map<string, number>();
  for (const precision of precisions.values()) counts.set(precision, (counts.get(precision) ?? 0) + 1);
  return [...counts].map(([precision, count]) => `${count} ${precision}`).join(', ');
}
