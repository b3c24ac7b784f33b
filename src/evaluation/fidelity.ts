/** How near the outputs of a converted model are to those of the float model, and whether they say anything at all. */
import { install } from '../../kernels/register';
import { inferShapes } from '../graph/infer-shapes';
import type { Graph } from '../graph/ir';
import type { Output } from '../graph/samples';
import { importBackend, withBackend } from '../tfjs/backends';
import type { CheckSamples } from './held-back';
import { withHeldRegions } from './held-regions';
import { judgedTensors, toJudged } from './judged-tensors';
import { partsOf } from './output-parts';
import { outputsOf } from './outputs-of';

export interface PartFidelity {
  /** The node that computes the part. */
  readonly name: string;
  /** In dB. */
  readonly signalToNoise: number;
}

export interface OutputFidelity {
  readonly name: string;
  /** Over all samples, in dB; absent where the models give different numbers of values, as detections may be. */
  readonly signalToNoise?: number;
  /**
   * The same with the mean over the samples taken from the signal: noise against what depends on the input. Absent for a
   * single sample, and where the float model's output is the same for all.
   */
  readonly varyingSignalToNoise?: number;
  /** The output is the same for every sample, and that of the float model is not. */
  readonly constant?: true;
  /** Of an output that joins several tensors: how near each of them is. */
  readonly parts?: readonly PartFidelity[];
  /** Of an output that comes of a selection, of the best scores for example: the tensors that it is judged by instead. */
  readonly selectedFrom?: readonly string[];
}

/** Measured on a few samples when a model is converted. */
export interface Fidelity {
  readonly samples: number;
  /** The calibration has not seen them. */
  readonly heldBack: boolean;
  readonly outputs: readonly OutputFidelity[];
}

type Values = ArrayLike<number>;

/** Where both are infinite or NaN alike there is no noise. */
const noiseOf = (x: number, y: number) => (Object.is(x, y) || x === y ? 0 : (x - y) ** 2);
const signalOf = (x: number) => (Number.isFinite(x) ? x ** 2 : 0);

function decibels(signal: number, noise: number): number {
  if (noise === 0) return Number.POSITIVE_INFINITY;
  return Number.isNaN(noise) ? Number.NEGATIVE_INFINITY : 10 * Math.log10(signal / noise);
}

interface Pair {
  readonly float: Values;
  readonly lowbit: Values;
}

/** @param chosen which elements count */
function signalToNoise(pairs: readonly Pair[], chosen: (index: number) => boolean = () => true): number {
  let [signal, noise] = [0, 0];
  for (const { float, lowbit } of pairs) {
    for (let i = 0; i < float.length; i++) {
      if (!chosen(i)) continue;
      signal += signalOf(float[i]);
      noise += noiseOf(float[i], lowbit[i]);
    }
  }
  return decibels(signal, noise);
}

/** Undefined where the float model gives the same for every sample. */
function varyingSignalToNoise(pairs: readonly Pair[]): number | undefined {
  let [signal, noise] = [0, 0];
  for (let i = 0; i < pairs[0].float.length; i++) {
    const mean = pairs.reduce((sum, { float }) => sum + float[i], 0) / pairs.length;
    for (const { float, lowbit } of pairs) {
      signal += signalOf(float[i] - mean);
      noise += noiseOf(float[i], lowbit[i]);
    }
  }
  return signal > 0 ? decibels(signal, noise) : undefined;
}

function isConstant(all: readonly Values[]): boolean {
  const [first] = all;
  return all.every((values) => {
    for (let i = 0; i < first.length; i++) if (!Object.is(values[i], first[i])) return false;
    return true;
  });
}

/**
 * Runs a float graph and its converted form on a few samples.
 *
 * @throws LowbitError 'cancelled' on abort; 'internal' where one of the two does not run
 */
export async function measureFidelity(
  graphs: { readonly float: Graph; readonly lowbit: Graph },
  check: CheckSamples,
  signal?: AbortSignal,
): Promise<Fidelity> {
  install();
  const { tensors, selections } = judgedTensors(graphs.float, (node) => graphs.lowbit.nodes.has(node));
  const others = tensors.filter(({ name }) => graphs.float.outputs.every((output) => output.name !== name));
  const entries = [...graphs.float.outputs, ...others];
  const lowbit = {
    ...graphs.lowbit,
    outputs: [...graphs.lowbit.outputs, ...toJudged(graphs.lowbit, others).outputs],
  };
  const known = entries.every(
    ({ name, dtype }) => dtype === 'string' || check.float?.[0]?.some((output) => output.name === name),
  );
  const results = await withBackend(await importBackend(), async () => ({
    float: known
      ? check.float!
      : await outputsOf({ ...graphs.float, outputs: entries }, check.samples, signal),
    lowbit: await withHeldRegions(lowbit, (held) => outputsOf(held, check.samples, signal)),
  }));
  const named = (all: readonly (readonly Output[])[], name: string) =>
    all.flatMap((outputs) => outputs.find((output) => output.name === name) ?? []);
  const shapes = inferShapes(graphs.float);
  const outputs = entries.flatMap((entry): OutputFidelity[] => {
    const { name } = entry;
    const ours = named(results.lowbit, name);
    const pairs = named(results.float, name).map(({ values }, i) => ({
      float: values,
      lowbit: ours[i].values,
    }));
    if (pairs.length === 0) return [];
    const selectedFrom = selections.get(name);
    const selected = selectedFrom && { selectedFrom };
    if (pairs.some(({ float, lowbit }) => float.length !== lowbit.length)) return [{ name, ...selected }];
    const rank = named(results.float, name)[0].shape.length;
    const parts = partsOf(graphs.float, shapes, entry, rank, pairs[0].float.length);
    const alike = pairs.length > 1 && pairs.every(({ float }) => float.length === pairs[0].float.length);
    const varying = alike ? varyingSignalToNoise(pairs) : undefined;
    const constant = varying !== undefined && isConstant(pairs.map(({ lowbit }) => lowbit));
    return [
      {
        name,
        signalToNoise: signalToNoise(pairs),
        ...(varying !== undefined && { varyingSignalToNoise: varying }),
        ...(constant && { constant }),
        ...(parts.length > 0 && {
          parts: parts.map((part) => ({ name: part.name, signalToNoise: signalToNoise(pairs, part.holds) })),
        }),
        ...selected,
      },
    ];
  });
  return { samples: check.samples.length, heldBack: check.heldBack, outputs };
}
