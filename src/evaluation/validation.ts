/** Validation data with what the float model computes for it: converted models are measured against that. */
import * as tf from '@tensorflow/tfjs-core';
import { install } from '../../kernels/register';
import { yieldToCancel } from '../base/cancelled';
import { LowbitError } from '../base/errors';
import type { Graph } from '../graph/ir';
import type { LabelledSource, Output } from '../graph/samples';
import { toOutputs } from '../tfjs/loaded-graph';
import { loadGraph } from '../tfjs/run-samples';
import { withHeldRegions } from './held-regions';
import { Tally } from './tally';

export interface AccuracyFigures {
  /** Points of top-1 that are lost, where samples have labels. */
  readonly top1Drop?: number;
  /** The lowest signal-to-noise at an output, in dB. */
  readonly signalToNoise: number;
}

async function* outputsOf(
  graph: Graph,
  source: LabelledSource,
  samples: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ outputs: Output[]; label?: number }> {
  install();
  const refs = graph.outputs.map(({ ref }) => ref);
  const model = await loadGraph(graph, refs);
  let seen = 0;
  try {
    for await (const { sample, label } of source(graph.inputs)) {
      await yieldToCancel(signal);
      const feeds = model.feed(sample);
      const results = await model.execute(feeds, refs);
      const outputs = toOutputs(graph, results);
      tf.dispose([...results, ...Object.values(feeds)]);
      yield { outputs, label };
      if (++seen === samples) break;
    }
  } finally {
    model.dispose();
  }
}

/** Only the float model's outputs are held in memory; the samples are read again for every model. */
export class Validation {
  private constructor(
    private readonly source: LabelledSource,
    private readonly expected: readonly (readonly Output[])[],
    readonly labelled: boolean,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /**
   * @param graph the float model
   * @param samples how many to use at most
   * @throws LowbitError 'invalid-argument' without samples
   */
  static async of(
    graph: Graph,
    source: LabelledSource,
    samples: number,
    signal?: AbortSignal,
  ): Promise<Validation> {
    const expected: Output[][] = [];
    let labelled = false;
    for await (const { outputs, label } of outputsOf(graph, source, samples, signal)) {
      expected.push(outputs);
      labelled ||= label !== undefined;
    }
    if (expected.length === 0)
      throw new LowbitError('invalid-argument', 'There are no samples to measure accuracy on.');
    return new Validation(source, expected, labelled, signal);
  }

  get samples(): number {
    return this.expected.length;
  }

  /** How a converted model compares with the float one. */
  async measure(graph: Graph): Promise<AccuracyFigures> {
    const tally = new Tally();
    await withHeldRegions(graph, async (held) => {
      for await (const { outputs, label } of outputsOf(held, this.source, this.samples, this.signal))
        tally.add(this.expected[tally.samples], outputs, label);
    });
    const { top1, outputs } = tally.report();
    return {
      ...(top1 && { top1Drop: top1.float - top1.lowbit }),
      signalToNoise: Math.min(...outputs.map((o) => o.signalToNoise)),
    };
  }
}
