/** The ways in which random graphs are converted. */
import type { LayerConfig } from '../../../src/conversion/config/config';
import type { QuantizationOptions } from '../../../src/conversion/options/options';
import type { Graph } from '../../../src/graph/ir';
import type { LabelledSource, SampleSource } from '../../../src/graph/samples';
import type { Random } from '../random';

export interface ModeContext {
  readonly graph: Graph;
  readonly random: Random;
  readonly source: SampleSource;
}

export type Mode = (context: ModeContext) => QuantizationOptions;

const labelled = (source: SampleSource): LabelledSource =>
  async function* (inputs) {
    for await (const sample of source(inputs)) yield { sample, label: 0 };
  };

const someOf = (graph: Graph, random: Random) => [...graph.nodes.keys()].filter(() => random.chance(0.4));

/** Layers that no pattern names, the first and the last ones and those of few weights, keep weights of 8 bits. */
const named = (layer: Omit<LayerConfig, 'match'>): QuantizationOptions => ({
  config: { version: 1, layers: [{ match: '**', ...layer }] },
});

/** Without a search for better ranges and precisions; the default has them. */
const quick = { recipe: 'fast', calibrationMethod: 'minmax' } as const;

/** Nothing is calibrated. */
export const WITHOUT_DATA = 'withoutData';

export const MODES: Readonly<Record<string, Mode>> = {
  default: () => ({}),
  fast: () => ({ recipe: 'fast' }),
  accurate: () => ({ recipe: 'accurate' }),
  [WITHOUT_DATA]: () => ({}),
  dynamic: () => ({ dynamic: ['**'], ...quick }),
  int16: () => ({ int16: ['**'], ...quick }),
  mixed: ({ graph, random }) => ({
    ...quick,
    dynamic: someOf(graph, random),
    int16: someOf(graph, random),
    skip: someOf(graph, random).filter(() => random.chance(0.3)),
  }),
  minSignalToNoise: () => ({ minSignalToNoise: 35 }),
  maxDrop: ({ source }) => ({ ...quick, maxDrop: 0, validation: labelled(source) }),
  int4: () => ({ ...named({ weights: 'int4' }), ...quick }),
  uniform2: () => ({ ...named({ weights: 'uniform2', group: 32 }), ...quick }),
  weightsOnly: ({ random }) => ({
    activations: 'float32',
    ...named({ weights: random.pick(['int8', 'int4', 'uniform2', 'trellis2'] as const) }),
  }),
  equalize: () => ({ recipe: 'fast', equalize: true }),
  errorFeedback: () => ({ recipe: 'fast', errorFeedback: true }),
  sequential: () => ({ recipe: 'fast', biasCorrection: 'sequential' }),
  kernels: () => ({ regions: false, ...quick }),
  rotate: ({ random }) => ({
    ...named({ weights: random.pick(['int4', 'trellis2'] as const), rotate: 64 }),
    ...quick,
  }),
  costliest: () => ({ int16: 1, ...quick }),
  targetBits: ({ random }) => ({ ...quick, targetBits: random.pick([6, 7, 8]) }),
  tune: () => ({ tune: true }),
};
