/** Converts a random graph in a mode and runs it, and says what is wrong. */
import { LowbitError } from '../../../src/base/errors';
import { decideConversion } from '../../../src/conversion/convert-graph';
import { settle } from '../../../src/conversion/options/settle';
import type { Decision } from '../../../src/conversion/stage-results';
import { check } from '../../../src/conversion/stages/check';
import { lower } from '../../../src/conversion/stages/lower/lower';
import '../../../src/index.node';
import { refKey } from '../../../src/graph/edit';
import type { Graph, GraphNode, Sample } from '../../../src/graph/ir';
import type { Random } from '../random';
import { type RandomGraph, runGraph } from './drawing';
import { MODES, WITHOUT_DATA } from './modes';
import { simulate } from './simulation/simulate';

/** Samples that the calibration sees; all are checked. */
const CALIBRATED = 3;

type Outputs = Awaited<ReturnType<typeof runGraph>>;

export type Fault = 'uncoded' | 'refused' | 'shape' | 'dtype' | 'value' | 'rewrite' | 'bias' | 'noise';

export interface Outcome {
  readonly mode: string;
  /** `left`: there is nothing to do, or what was asked for cannot be had, and the error says so. */
  readonly kind: 'converted' | 'left' | Fault;
  readonly message?: string;
  /** Outputs whose noise was compared with that of the simulation. */
  readonly judged: number;
  /** How much louder the loudest of them is, in dB. */
  readonly difference?: number;
}

/** Refusals that are right. */
const LEFT =
  /^(accuracy: |invalid-model: (Nothing in this model|No weights in this model) can be quantized|invalid-argument: The weights cannot have)/;

/** Their results jump where their arguments change a little: noise before them says nothing about noise behind. */
const JUMPS = new Set(
  (
    'Floor Ceil Round Sign FloorDiv FloorMod Mod Equal NotEqual Greater GreaterEqual Less LessEqual ArgMax ArgMin Cast ' +
    'TopKV2 NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 Where MaxPoolWithArgmax'
  ).split(' '),
);

/** How many they keep is for their arguments to say: noise may move one across the threshold. */
const COUNTS = new Set('NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV5 Where'.split(' '));

/** Twice the power. */
const MAX_DIFFERENCE = 10 * Math.log10(2);

/** What float32 makes of equal sums, as a share of the signal's power. */
const ROUNDING = 1e-12;

/** Noise so loud is no longer a small error, and goes through the graph in ways of its own. */
const LOUD = 0.3;

/** Samples, in rounds of five, on which noise that seems too loud is measured again. */
const ROUNDS = 12;

/** An output of fewer different values has too few errors for an average. */
const MIN_VALUES = 12;

/** Whether a node is one of some, or depends on one. */
function dependsOn(graph: Graph, node: string, suits: (node: GraphNode) => boolean): boolean {
  const seen = new Set<string>();
  const queue = [node];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    const found = graph.nodes.get(name)!;
    if (suits(found)) return true;
    queue.push(...found.inputs.map((ref) => ref.node));
  }
  return false;
}

function jumps(graph: Graph, node: string): boolean {
  return dependsOn(
    graph,
    node,
    // Whole numbers of an input are cast as they are.
    ({ op, inputs }) => JUMPS.has(op) && !(op === 'Cast' && /^(x\d|n\d+_)/.test(refKey(inputs[0]))),
  );
}

const hasOpenCount = (graph: Graph, node: string) => dependsOn(graph, node, ({ op }) => COUNTS.has(op));

async function decideIn(mode: string, { graph, samples }: RandomGraph, random: Random): Promise<Decision> {
  const given = samples.slice(0, CALIBRATED);
  const source = async function* (): AsyncGenerator<Sample> {
    yield* given;
  };
  const data = mode === WITHOUT_DATA ? undefined : source;
  return decideConversion(graph, settle(MODES[mode]({ graph, random, source }), data));
}

function wrongForm(
  graph: Graph,
  expected: Outputs,
  received: Outputs,
): Pick<Outcome, 'kind' | 'message'> | undefined {
  const open = graph.outputs.map(({ ref }) => hasOpenCount(graph, ref.node));
  for (const [s, outputs] of expected.entries()) {
    for (const [o, { shape, dtype, values }] of outputs.entries()) {
      const other = received[s][o];
      const where = `output ${o} of sample ${s}`;
      const same = open[o] ? other.shape.length === shape.length : other.shape.join() === shape.join();
      if (!same) return { kind: 'shape', message: `${where}: [${other.shape}] instead of [${shape}]` };
      if (other.dtype !== dtype)
        return { kind: 'dtype', message: `${where}: ${other.dtype} instead of ${dtype}` };
      if (![...other.values].every(Number.isFinite) && [...values].every(Number.isFinite))
        return { kind: 'value', message: `${where} is not finite` };
    }
  }
  return undefined;
}

interface Powers {
  readonly signal: number;
  readonly own: number;
  readonly simulated: number;
}

/** Power of an output and of the noise in it, summed over samples. */
function powersOf(output: number, expected: Outputs, received: Outputs, simulated: Outputs): Powers {
  let [signal, own, simulation] = [0, 0, 0];
  for (const [s, outputs] of expected.entries()) {
    const [own_, simulated_] = [received[s][output].values, simulated[s][output].values];
    for (const [i, x] of outputs[output].values.entries()) {
      signal += x ** 2;
      own += (own_[i] - x) ** 2;
      simulation += (simulated_[i] - x) ** 2;
    }
  }
  return { signal, own, simulated: simulation };
}

const louder = ({ signal, own, simulated }: Powers) =>
  own <= ROUNDING * signal
    ? Number.NEGATIVE_INFINITY
    : 10 * Math.log10(own / Math.max(simulated, ROUNDING * signal));

const decibels = ({ signal }: Powers, noise: number) => (10 * Math.log10(signal / noise)).toFixed(1);

/** How much louder the noise of a converted graph is than that of its simulation. */
async function judgeNoise(
  drawn: RandomGraph,
  converted: Graph,
  simulation: Graph,
  runs: { expected: Outputs; received: Outputs },
): Promise<Pick<Outcome, 'judged' | 'difference' | 'message'>> {
  const { graph, samples } = drawn;
  const differs = (o: number) =>
    new Set(runs.expected.flatMap((outputs) => [...outputs[o].values])).size >= MIN_VALUES;
  const smooth = graph.outputs.flatMap(({ dtype, ref }, o) =>
    dtype === 'float32' && !jumps(graph, ref.node) && differs(o) ? [o] : [],
  );
  if (smooth.length === 0) return { judged: 0 };
  const all = await runGraph(simulation, samples);
  let difference = Number.NEGATIVE_INFINITY;
  let count = 0;
  for (const o of smooth) {
    let powers = powersOf(o, runs.expected, runs.received, all);
    if (powers.simulated > LOUD * powers.signal) continue;
    count++;
    if (louder(powers) > MAX_DIFFERENCE) {
      const more = drawn.more(ROUNDS);
      const [expected, received, simulated] = [
        await runGraph(graph, more),
        await runGraph(converted, more),
        await runGraph(simulation, more),
      ];
      powers = powersOf(o, expected, received, simulated);
    }
    difference = Math.max(difference, louder(powers));
    if (louder(powers) > MAX_DIFFERENCE) {
      const [own, other] = [decibels(powers, powers.own), decibels(powers, powers.simulated)];
      return { judged: count, difference, message: `output ${o}: ${own} dB, ${other} dB simulated` };
    }
  }
  return { judged: count, difference };
}

/** Modes that rewrite the graph, each in its own way. */
const REWRITING = new Set(['default', 'equalize', 'rotate', 'tune', 'weightsOnly']);

/** Whether the float graph that is quantized still computes what the model does. */
async function rewriteFault(
  drawn: RandomGraph,
  { model }: Decision,
  expected: Outputs,
): Promise<string | undefined> {
  const rewritten = await runGraph(model.graph, drawn.samples);
  const wrong = wrongForm(drawn.graph, expected, rewritten);
  if (wrong) return wrong.message;
  for (const [o, { ref }] of drawn.graph.outputs.entries()) {
    if (jumps(drawn.graph, ref.node)) continue;
    const { signal, own } = powersOf(o, expected, rewritten, rewritten);
    if (own > 1e-8 * signal + 1e-12) return `output ${o} differs by ${own} of ${signal}`;
  }
  return undefined;
}

/** @param expected what the float graph computes */
export async function checkMode(
  mode: string,
  drawn: RandomGraph,
  expected: Outputs,
  random: Random,
): Promise<Outcome> {
  try {
    const decision = await decideIn(mode, drawn, random);
    const converted =
      mode === 'default' ? await check(lower(decision), drawn.graph, decision) : lower(decision);
    const received = await runGraph(converted.graph, drawn.samples);
    const wrong = wrongForm(drawn.graph, expected, received);
    if (wrong) return { mode, judged: 0, ...wrong };
    const rewritten = REWRITING.has(mode) && (await rewriteFault(drawn, decision, expected));
    if (rewritten) return { mode, kind: 'rewrite', judged: 0, message: rewritten };
    const simulation = simulate(decision);
    const [bias] = simulation.wrongBiases;
    if (bias) return { mode, kind: 'bias', judged: 0, message: bias };
    const { message, ...noise } = await judgeNoise(drawn, converted.graph, simulation.graph, {
      expected,
      received,
    });
    return { mode, kind: message ? 'noise' : 'converted', ...noise, ...(message && { message }) };
  } catch (error) {
    if (error instanceof LowbitError && error.code !== 'internal') {
      const message = `${error.code}: ${error.message}`;
      return { mode, kind: LEFT.test(message) ? 'left' : 'refused', judged: 0, message };
    }
    const { cause, stack } = error as Error;
    return {
      mode,
      kind: 'uncoded',
      judged: 0,
      message: `${stack}\n${(cause as Error | undefined)?.stack ?? ''}`,
    };
  }
}
