/**
 * The strategy of recipes: climbs from what is fastest when the model runs to what is most accurate until the converted
 * model meets a target on samples that the calibration has not seen.
 *
 * 1. static INT8;
 * 2. what costs nothing when the model runs: error feedback of weights, equalization, percentile ranges, each kept
 *    where it helps;
 * 3. dynamic activations for the layers that need them;
 * 4. int16 activations for those that need these;
 * 5. float for a few.
 *
 * Steps are ordered by their cost when the model runs; none depends on the clock. A time budget that runs out keeps the
 * best model so far.
 */
import { Judge, type Judgement } from '../../../../evaluation/judge';
import { type LayerSensitivity, measureSensitivity } from '../../../../evaluation/sensitivity';
import { countMacs } from '../../../../graph/count-macs';
import { output, refKey } from '../../../../graph/edit';
import type { Graph, Sample } from '../../../../graph/ir';
import type { ActivationPrecision } from '../../../../passes/quantize/match/quantizable';
import { floatInOutNodes } from '../../../../passes/quantize/plan/float-in-out-nodes';
import { layersOf } from '../../../../passes/quantize/plan/layers';
import { floatAnyway, planQuantization, type QuantizationPlan } from '../../../../passes/quantize/plan/plan';
import { quantizeGraph } from '../../../../passes/quantize/quantize-graph';
import { FLOAT_FOR_ACCURACY } from '../../../float-reasons';
import type { Precision, RecipeStep } from '../../../report-types';
import type { RecipeSettings, Settings, TunableSettings } from '../../../settings';
import type { Int8Decision, ObservedInt8, Prepare } from '../../../stage-results';
import { decideInt8 } from '../int8';
import { excess, excessOf, reaches, worstOf } from './target';

/** Settings that cost nothing when the model runs, in the order in which they are tried. */
const FREE: readonly Partial<TunableSettings>[] = [
  { errorFeedback: true },
  { equalize: true },
  { calibrationMethod: 'percentile' },
];

/** What a step has to gain to be kept, in dB: less may be chance. */
const MIN_GAIN = 0.5;

/** Reading or storing a float32 value costs about as much time as so many multiply-accumulates. */
const MACS_A_VALUE = 8;

/** Times of a multiply-accumulate above that of static INT8, which is 1. */
const ADDED_MACS: Readonly<Record<Precision, number>> = { dynamic: 0.3, int16: 1, float: 10 };

/** Where the target cannot be reached, a model is near enough that comes so near to the best of all, in dB. */
const NEAR = 1;

/** The share of the layers that may stay in float. */
const MAX_FLOAT = 0.25;

/** Models that are tried with some upgrades taken back. */
const MAX_RETURNED = 32;

/** Work that measuring the layers one by one may take, in multiply-accumulates of the float model. */
const SENSITIVITY_MACS = 4e10;

/** Samples that layers are measured on one by one at most. */
const MAX_SENSITIVITY_SAMPLES = 8;

/** Precisions from the cheapest, INT8, to float. */
type Precisions = ReadonlyMap<string, Precision>;

interface Trial {
  /** Its place among the steps. */
  readonly step: number;
  readonly decision: Int8Decision;
  readonly judgement: Judgement;
  /** In dB above the target. */
  readonly excess: number;
  readonly met: boolean;
}

/** The ladder for one model: runs trials, and remembers the best. */
class Climb {
  readonly steps: RecipeStep[] = [];
  private readonly start = performance.now();
  /** Enough where the target cannot be reached, in dB above it. */
  goal = 0;

  constructor(
    private readonly judge: Judge,
    private readonly recipe: RecipeSettings,
    private readonly settings: Settings,
    private readonly prepare: Prepare,
  ) {}

  /** Whether the time budget has run out. */
  get late(): boolean {
    return performance.now() - this.start > this.recipe.milliseconds;
  }

  private report(): void {
    this.settings.report('refine', this.steps.length, this.steps.length);
  }

  isEnough({ met, excess: above }: Trial): boolean {
    return met || above >= this.goal;
  }

  async try(name: string, decision: Int8Decision): Promise<Trial> {
    const start = performance.now();
    const { graph } = quantizeGraph(
      decision.model.graph,
      decision.plan,
      decision.observations,
      decision.weights,
    );
    const judgement = await this.judge.measure(graph);
    const { target } = this.recipe;
    const above = excess(judgement, target);
    const trial: Trial = {
      step: this.steps.length,
      decision,
      judgement,
      excess: above,
      met: reaches(judgement, target),
    };
    const worst = worstOf(judgement, target);
    this.steps.push({
      name,
      ...(worst && { worst: worst.part ?? worst.output, signalToNoise: worst.whole.median }),
      excess: above,
      met: trial.met,
      seconds: (performance.now() - start) / 1000,
    });
    this.report();
    return trial;
  }

  /** Static INT8, then what costs nothing when the model runs. */
  async free(observed: ObservedInt8): Promise<Trial> {
    let prepared = { observed, settings: this.settings };
    let best = await this.try('static', await decideInt8(observed, this.settings));
    for (const alternative of FREE) {
      if (best.met || this.late) break;
      if (!this.recipe.open.some((name) => name in alternative)) continue;
      const settings = { ...prepared.settings, ...alternative };
      const again = !('errorFeedback' in alternative);
      const next = again ? ((await this.prepare(settings)) as ObservedInt8) : prepared.observed;
      const trial = await this.try(Object.keys(alternative)[0], await decideInt8(next, settings));
      if (trial.excess < best.excess + MIN_GAIN && !trial.met) continue;
      best = trial;
      prepared = { observed: next, settings };
    }
    return best;
  }
}

/** A decision with layers in higher precision. */
function withPrecisions(base: Int8Decision, layers: Precisions): Int8Decision {
  const { model, precisions: configured } = base;
  const nodes = new Map(layersOf(model.graph, model.plan).map((layer) => [layer.name, layer.nodes]));
  const inFloat = [...layers].filter(([, precision]) => precision === 'float');
  const float = new Map([
    ...floatAnyway(model.plan),
    ...inFloat.flatMap(([layer]) =>
      [...nodes.get(layer)!].map((name): [string, string] => [name, FLOAT_FOR_ACCURACY]),
    ),
  ]);
  const precisions = new Map(configured);
  for (const [layer, precision] of layers) if (precision !== 'float') precisions.set(layer, precision);
  const plan = planQuantization(model.graph, {
    float,
    precisions: floatInOutNodes(model.graph, model.plan, precisions),
  });
  return { ...base, plan, precisions };
}

/** One layer in a higher precision than before. */
interface Upgrade {
  readonly layer: string;
  readonly precision: Precision;
}

/** Time that a precision adds to a layer, in multiply-accumulates. */
function addedCosts(graph: Graph, { shapes }: QuantizationPlan) {
  return (layer: string, precision: Precision): number => {
    const values = (shapes.get(refKey(output(layer))) ?? []).reduce((product, d) => product * Math.abs(d), 1);
    return MACS_A_VALUE * values + ADDED_MACS[precision] * countMacs(graph, shapes, graph.nodes.get(layer)!);
  };
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

/** By layer, the noise that it alone causes, of the signal, over the outputs that fall short. */
function noiseOf(layers: readonly LayerSensitivity[], short: ReadonlySet<string>): Map<string, number> {
  return new Map(
    layers.map(({ name, outputs }) => [
      name,
      outputs.reduce((sum, o) => sum + (short.has(o.name) ? 10 ** (-o.signalToNoise / 10) : 0), 0),
    ]),
  );
}

/**
 * Upgrades of layers, those first that take away the most noise for the time that they add. The noise of layers adds up.
 */
async function rankUpgrades(
  base: Int8Decision,
  judgement: Judgement,
  samples: readonly Sample[],
  { target }: RecipeSettings,
  { report, signal }: Settings,
): Promise<Upgrade[]> {
  const { model, observations, weights } = base;
  const { graph, plan } = model;
  const macs = [...graph.nodes.values()].reduce((sum, node) => sum + countMacs(graph, plan.shapes, node), 0);
  const each = macs * layersOf(graph, plan).length;
  const count = Math.max(1, Math.min(MAX_SENSITIVITY_SAMPLES, Math.floor(SENSITIVITY_MACS / each)));
  const { regions: _, ...rest } = weights;
  const source = async function* () {
    for (const sample of samples.slice(0, count)) yield { sample };
  };
  const wanting = judgement.outputs.filter((output) => excessOf(output, target) < 0);
  const short = new Set((wanting.length > 0 ? wanting : judgement.outputs).map((each) => each.output));
  const measure = async (precision?: ActivationPrecision) => {
    const onProgress = (done: number, total: number) => report('measure layers', done, total);
    const options = { samples: count, weights: rest, precision, signal, onProgress };
    const { layers } = await measureSensitivity(graph, plan, observations, source, options);
    return noiseOf(layers, short);
  };
  const asStatic = await measure();
  const asDynamic = await measure('dynamic');
  const asInt16 = await measure('int16');
  const costOf = addedCosts(graph, plan);
  const onlyFloat = withoutInt16(base);
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
function after(upgrades: readonly Upgrade[]): Map<string, Precision> {
  const of = (precision: Precision) => upgrades.filter((each) => each.precision === precision);
  const all = [...of('dynamic'), ...of('int16'), ...of('float')];
  return new Map(all.map(({ layer, precision }) => [layer, precision]));
}

/** Names what a model has, as `12 dynamic, 3 int16`. */
function describe(precisions: Precisions): string {
  const counts = new Map<string, number>();
  for (const precision of precisions.values()) counts.set(precision, (counts.get(precision) ?? 0) + 1);
  return [...counts].map(([precision, count]) => `${count} ${precision}`).join(', ');
}

/** The smallest number of upgrades that is enough, where all of them are. */
async function fewestUpgrades(
  climb: Climb,
  all: { trial: Trial; count: number },
  trialOf: (count: number) => Promise<Trial>,
): Promise<{ trial: Trial; count: number }> {
  let { trial: best, count: enough } = all;
  let few = 0;
  for (let count = 1; count < enough && !climb.late; count *= 2) {
    const trial = await trialOf(count);
    if (climb.isEnough(trial)) [best, enough] = [trial, count];
    else few = count;
  }
  while (enough - few > 1 && !climb.late) {
    const middle = (few + enough) >> 1;
    const trial = await trialOf(middle);
    if (climb.isEnough(trial)) [best, enough] = [trial, middle];
    else few = middle;
  }
  return { trial: best, count: enough };
}

/** Gives layers of higher precision to the model until it reaches the target, or comes as near as it gets. */
async function refine(
  climb: Climb,
  best: Trial,
  samples: readonly Sample[],
  recipe: RecipeSettings,
  settings: Settings,
): Promise<Trial> {
  const base = best.decision;
  const upgrades = await rankUpgrades(base, best.judgement, samples, recipe, settings);
  const trialOf = (some: readonly Upgrade[]) => {
    const precisions = after(some);
    return climb.try(describe(precisions), withPrecisions(base, precisions));
  };
  const all = await trialOf(upgrades);
  const few = upgrades.slice(0, Math.ceil(after(upgrades).size * MAX_FLOAT));
  const inFloat = few.map(({ layer }): Upgrade => ({ layer, precision: 'float' }));
  const more = all.met || climb.late ? all : await trialOf([...inFloat, ...upgrades]);
  const top = all.met || more.excess < all.excess + MIN_GAIN ? all : more;
  if (!top.met && top.excess < best.excess + MIN_GAIN) return best;
  if (!top.met) climb.goal = top.excess - NEAR;
  const ranked = top === more && top !== all ? [...upgrades, ...inFloat] : upgrades;
  const found = await fewestUpgrades(climb, { trial: top, count: ranked.length }, (count) =>
    trialOf(ranked.slice(0, count)),
  );
  return returned(climb, found, ranked, trialOf);
}

/** Takes back upgrades that the target does not need, the costliest first: many at once, then fewer, then single ones. */
async function returned(
  climb: Climb,
  found: { trial: Trial; count: number },
  upgrades: readonly Upgrade[],
  trialOf: (upgrades: readonly Upgrade[]) => Promise<Trial>,
): Promise<Trial> {
  let best = found.trial;
  const costOf = addedCosts(best.decision.model.graph, best.decision.model.plan);
  let kept = upgrades
    .slice(0, found.count)
    .toSorted((a, b) => costOf(b.layer, b.precision) - costOf(a.layer, a.precision));
  let left = MAX_RETURNED;
  for (let size = kept.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < kept.length && left > 0 && !climb.late; left--) {
      const without = [...kept.slice(0, at), ...kept.slice(at + size)];
      const trial = without.length > 0 ? await trialOf(without) : undefined;
      if (trial && climb.isEnough(trial)) [best, kept] = [trial, without];
      else at += size;
    }
  }
  return best;
}

/**
 * Finds the cheapest recipe that reaches the target.
 *
 * @param observed the model under the settings as they are
 */
export async function followRecipe(
  observed: ObservedInt8,
  settings: Settings,
  recipe: RecipeSettings,
  prepare: Prepare,
): Promise<Int8Decision> {
  const { samples } = observed.checkSamples;
  const judge = await Judge.of(observed.model.source, samples, settings.signal);
  const climb = new Climb(judge, recipe, settings, prepare);
  let best = await climb.free(observed);
  if (!best.met && !climb.late) best = await refine(climb, best, samples, recipe, settings);
  return {
    ...best.decision,
    recipe: {
      name: recipe.name,
      target: recipe.target,
      samples: samples.length,
      met: best.met,
      late: climb.late,
      steps: climb.steps.map((step, i) => ({ ...step, ...(i === best.step && { chosen: true }) })),
    },
  };
}
