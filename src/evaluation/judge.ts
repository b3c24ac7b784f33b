/** Judges converted models by what the float model computes for the same samples, output by output, sample by sample. */
import { install } from '../../kernels/register';
import { median } from '../base/median';
import { inferShapes, type Shapes } from '../graph/infer-shapes';
import type { Graph, Sample } from '../graph/ir';
import type { Output } from '../graph/samples';
import { importBackend, withBackend } from '../tfjs/backends';
import { withHeldRegions } from './held-regions';
import { type Judged, type JudgedTensor, judgedTensors, toJudged } from './judged-tensors';
import { type Part, partsOf } from './output-parts';
import { outputsOf, timedOutputsOf } from './outputs-of';
import { topClasses } from './tally';

/** Signal-to-noise by sample, in dB. */
export interface Spread {
  /** Of the median sample. */
  readonly median: number;
  /** What the median of further samples exceeds with some confidence. */
  readonly likelyMedian: number;
  /** Of the sample that a tenth of all are no better than. */
  readonly worstTenth: number;
}

export interface Choices {
  readonly differing: number;
  readonly of: number;
}

/** How near one output is, or a part of it that a branch of its own computes. */
export interface OutputFigures {
  readonly output: string;
  /** The node that computes the part. */
  readonly part?: string;
  /** Signal-to-noise. */
  readonly whole: Spread;
  /** The same with the mean over the samples taken from the signal; absent where the float output is always the same. */
  readonly varying?: Spread;
  /** Of scores of classes: rows where the models choose different ones; of whole numbers: those that differ. */
  readonly choices?: Choices;
}

export interface Judgement {
  readonly outputs: readonly OutputFigures[];
  /** That a sample took, the median; absent where that was not timed. */
  readonly milliseconds?: number;
}

/** Sums of squares. */
interface Powers {
  readonly signal: number;
  readonly varying: number;
  readonly noise: number;
}

/** Where both are infinite or NaN alike there is no noise. */
function powers(
  float: Output,
  lowbit: Output,
  mean: Float64Array,
  holds: Part['holds'] = () => true,
): Powers {
  let [signal, varying, noise] = [0, 0, 0];
  for (let i = 0; i < float.values.length; i++) {
    if (!holds(i)) continue;
    const [x, y] = [float.values[i], lowbit.values[i]];
    if (Number.isFinite(x)) {
      signal += x * x;
      varying += (x - mean[i]) ** 2;
    }
    if (!Object.is(x, y)) noise += (x - y) ** 2;
  }
  return { signal, varying, noise };
}

/** An output that is next to nothing for a sample, an empty mask for example, is judged by a hundredth of its usual power. */
const LEAST_SIGNAL = 0.01;

/** An output that varies less than this share of its power says nothing by how it varies. */
const LEAST_VARYING = 1e-3;

/** Fewer numbers than these are all near zero, or near their mean, by chance: their usual power counts. */
const MANY = 64;

/** That the median of all possible samples is above what is told of it. */
const CONFIDENCE = 0.9;

/**
 * The lowest of some values but for so many that the median of what they were drawn from is above it with confidence:
 * it is below the k lowest of n with the probability of fewer than k heads in n tosses of a coin.
 *
 * @see David and Nagaraja 2003, "Order statistics", section 7.1
 */
function likelyMedian(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  let [chance, below] = [0.5 ** sorted.length, 0];
  for (let k = 0; k < sorted.length; k++) {
    below += chance;
    if (below > 1 - CONFIDENCE) return sorted[Math.max(0, k - 1)];
    chance *= (sorted.length - k) / (k + 1);
  }
  return sorted[0];
}

/** @param elements of an output */
function spread(all: readonly { signal: number; noise: number }[], elements: number): Spread {
  const usual = median(all.map(({ signal }) => signal));
  const least = elements < MANY ? usual : LEAST_SIGNAL * usual;
  const decibels = all.map(({ signal, noise }) => {
    if (noise === 0) return Number.POSITIVE_INFINITY;
    if (!Number.isFinite(noise)) return Number.NEGATIVE_INFINITY;
    return 10 * Math.log10(Math.max(signal, least) / noise);
  });
  return {
    median: median(decibels),
    likelyMedian: likelyMedian(decibels),
    worstTenth: quantile(decibels, 0.1),
  };
}

function spreads(all: readonly Powers[], elements: number): { whole: Spread; varying?: Spread } {
  const whole = spread(all, elements);
  const [signal, varying] = (['signal', 'varying'] as const).map((key) =>
    all.reduce((sum, each) => sum + each[key], 0),
  );
  if (!(varying > LEAST_VARYING * signal)) return { whole };
  return {
    whole,
    varying: spread(
      all.map((each) => ({ signal: each.varying, noise: each.noise })),
      elements,
    ),
  };
}

/** Of each element, over samples whose outputs have one size; of others it is 0. */
function meanOf(outputs: readonly Output[]): Float64Array {
  const mean = new Float64Array(outputs[0].values.length);
  if (outputs.length < 2 || outputs.some(({ values }) => values.length !== mean.length)) return mean;
  for (const { values } of outputs)
    for (let i = 0; i < mean.length; i++) mean[i] += values[i] / outputs.length;
  return mean;
}

/** Rows of numbers from 0 to 1 that add up to 1. */
function holdsProbabilities({ shape: [rows, classes, ...more], values }: Output): boolean {
  if (classes === undefined || classes < 2 || more.length > 0) return false;
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (const value of values.subarray(row * classes, (row + 1) * classes)) {
      if (!(value >= 0)) return false;
      sum += value;
    }
    if (Math.abs(sum - 1) > 1e-3) return false;
  }
  return true;
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))];
}

function count(differ: readonly boolean[]): Choices {
  return { differing: differ.filter(Boolean).length, of: differ.length };
}

function classChoices(float: readonly Output[], lowbit: readonly Output[]): Choices {
  return count(
    float.flatMap((output, i) => {
      const ours = topClasses(lowbit[i]);
      return topClasses(output).map((theirs, row) => theirs !== ours[row]);
    }),
  );
}

/** The same for all samples. */
function everywhere(decibels: number): Spread {
  return { median: decibels, likelyMedian: decibels, worstTenth: decibels };
}

/** Of indices that were selected, for example, or numbers of what was found. */
function wholeNumbers(output: string, float: readonly Output[], lowbit: readonly Output[]): OutputFigures {
  const choices = count(
    float.flatMap(({ values }, i) => Array.from(values, (x, k) => x !== lowbit[i].values[k])),
  );
  return { output, whole: everywhere(Number.POSITIVE_INFINITY), choices };
}

/** By sample: what the float model gives, and the converted one. */
export function realNumbers(
  output: string,
  float: readonly Output[],
  lowbit: readonly Output[],
  part?: Part,
): OutputFigures {
  const mean = meanOf(float);
  const all = float.map((each, i) => powers(each, lowbit[i], mean, part?.holds));
  return {
    output,
    ...(part && { part: part.name }),
    ...spreads(all, float[0].values.length),
    ...(!part && float.every(holdsProbabilities) && { choices: classChoices(float, lowbit) }),
  };
}

export class Judge {
  private readonly shapes: Shapes;

  private constructor(
    private readonly graph: Graph,
    private readonly judged: Judged,
    readonly samples: readonly Sample[],
    /** By sample: the outputs, and the tensors that are judged in their place. */
    readonly float: readonly (readonly Output[])[],
  ) {
    this.shapes = inferShapes(graph);
  }

  /**
   * @param graph the float model
   * @param stays whether a node of it is in all models that are judged
   */
  static async of(
    graph: Graph,
    samples: readonly Sample[],
    stays: (node: string) => boolean = () => true,
    signal?: AbortSignal,
  ): Promise<Judge> {
    const judged = judgedTensors(graph, stays);
    const others = judged.tensors.filter(({ name }) => graph.outputs.every((output) => output.name !== name));
    const all = { ...graph, outputs: [...graph.outputs, ...others] };
    const float = await withBackend(await importBackend(), () => outputsOf(all, samples, signal));
    return new Judge(graph, judged, samples, float);
  }

  /** By output that comes of a selection, the names of the tensors that are judged in its place. */
  get selections(): Judged['selections'] {
    return this.judged.selections;
  }

  /** Another form of the model, with the judged tensors for outputs. */
  judgedOf(form: Graph): Graph {
    return toJudged(form, this.judged.tensors);
  }

  /** Outputs whose sizes differ are not judged. */
  async measure(graph: Graph, signal?: AbortSignal): Promise<Judgement> {
    install();
    const { outputs: lowbit, milliseconds } = await withBackend(await importBackend(), () =>
      withHeldRegions(this.judgedOf(graph), (held) => timedOutputsOf(held, this.samples, signal)),
    );
    const named = (all: readonly (readonly Output[])[], name: string) =>
      all.flatMap((outputs) => outputs.find((output) => output.name === name) ?? []);
    const outputs = this.judged.tensors.flatMap((tensor) => {
      const [float, ours] = [this.float, lowbit].map((all) => named(all, tensor.name));
      // Strings.
      if (float.length === 0) return [];
      if (ours.length === 0) return [{ output: tensor.name, whole: everywhere(Number.NEGATIVE_INFINITY) }];
      if (float.some(({ values }, i) => values.length !== ours[i].values.length)) return [];
      return this.figures(tensor, float, ours);
    });
    return { outputs, ...(milliseconds !== undefined && { milliseconds }) };
  }

  private figures(
    tensor: JudgedTensor,
    float: readonly Output[],
    lowbit: readonly Output[],
  ): OutputFigures[] {
    const { name, dtype } = tensor;
    if (dtype !== 'float32') return [wholeNumbers(name, float, lowbit)];
    const [{ shape, values }] = float;
    const parts = partsOf(this.graph, this.shapes, tensor, shape.length, values.length);
    if (parts.length === 0) return [realNumbers(name, float, lowbit)];
    return parts.map((part) => realNumbers(name, float, lowbit, part));
  }
}
