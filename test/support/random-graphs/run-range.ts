/** Draws, converts and checks a range of random graphs, and counts. */
import { writeFileSync } from 'node:fs';
import { refKey } from '../../../src/graph/edit';
import type { Graph } from '../../../src/graph/ir';
import { randomOf, TEST_SEED } from '../random';
import { checkMode, type Outcome } from './check-graph';
import { drawGraph } from './draw-graph';
import { runGraph } from './drawing';
import { MODES } from './modes';

const ALWAYS = ['default', 'fast', 'dynamic', 'int16'];

/** How many of the other modes a graph is converted in. */
const OTHERS = 2;

/** Takes twenty times as long as others. */
const RARE = 'tune';
const RARITY = 10;

export interface Totals {
  graphs: number;
  /** Nodes by op, modes by outcome. */
  readonly ops: Record<string, number>;
  readonly modes: Record<string, Record<string, number>>;
  readonly faults: string[];
  /** Outputs whose noise was compared with the simulation's. */
  judged: number;
  /** In dB. */
  worst: number;
}

function modesOf(index: number): string[] {
  const random = randomOf('modes', index);
  const others = Object.keys(MODES).filter((mode) => !ALWAYS.includes(mode) && mode !== RARE);
  const chosen = new Set<string>();
  while (chosen.size < OTHERS) chosen.add(random.pick(others));
  return [...ALWAYS, ...chosen, ...(index % RARITY === 0 ? [RARE] : [])];
}

const LABEL = 'random graphs';

/** The nodes of a graph, one a line. */
function listing({ nodes, constants, inputs, outputs }: Graph): string {
  const lines = [...nodes.values()].map(({ name, op, inputs: read, attrs }) => {
    const constant = constants.get(name);
    if (constant) return `${name}: ${constant.dtype} [${constant.shape}] ${constant.values.slice(0, 8)}`;
    return `${name} = ${op}(${read.map(refKey)}) ${JSON.stringify(attrs)}`;
  });
  const ends = [...inputs, ...outputs].map(({ name, shape, dtype }) => `${name} ${dtype} [${shape ?? ''}]`);
  return [...lines, ...ends].join('\n');
}

/** What is wrong, and how to draw the graph again. */
function describe(index: number, graph: Graph, { mode, kind, message = '' }: Outcome): string {
  const again = `LOWBIT_TEST_SEED=${TEST_SEED} LOWBIT_TEST_GRAPHS_FROM=${index} LOWBIT_TEST_GRAPHS=1 LOWBIT_TEST_GRAPH_MODES=${mode}`;
  return `graph ${index} in mode ${mode}: ${kind}: ${message}\n${again}\n${listing(graph)}`;
}

export async function runRange(from: number, count: number): Promise<Totals> {
  const totals: Totals = {
    graphs: 0,
    ops: {},
    modes: {},
    faults: [],
    judged: 0,
    worst: Number.NEGATIVE_INFINITY,
  };
  for (let index = from; index < from + count; index++) {
    const drawn = await drawGraph(randomOf(LABEL, index));
    if (drawn.graph.outputs.length === 0) continue;
    totals.graphs++;
    for (const { op } of drawn.graph.nodes.values()) totals.ops[op] = (totals.ops[op] ?? 0) + 1;
    const expected = await runGraph(drawn.graph, drawn.samples);
    for (const mode of process.env.LOWBIT_TEST_GRAPH_MODES?.split(',') ?? modesOf(index)) {
      const outcome = await checkMode(mode, drawn, expected, randomOf(mode, index));
      const { kind, judged, difference = Number.NEGATIVE_INFINITY } = outcome;
      totals.modes[mode] ??= {};
      totals.modes[mode][kind] = (totals.modes[mode][kind] ?? 0) + 1;
      totals.judged += judged;
      totals.worst = Math.max(totals.worst, difference);
      if (kind !== 'converted' && kind !== 'left') totals.faults.push(describe(index, drawn.graph, outcome));
    }
  }
  return totals;
}

/**
 * One of several equal parts of the graphs of a test run, which run beside each other.
 *
 * `LOWBIT_TEST_GRAPHS`: how many; `LOWBIT_TEST_GRAPHS_FROM`: those from this one on, all in the first part;
 * `LOWBIT_TEST_GRAPHS_RESULTS`: a file for the counts.
 */
export async function checkPart(part: number, parts: number): Promise<void> {
  const { LOWBIT_TEST_GRAPHS: all = 1000, LOWBIT_TEST_GRAPHS_FROM: first } = process.env;
  const count = first === undefined ? Math.ceil(Number(all) / parts) : part === 0 ? Number(all) : 0;
  const warn = jest.spyOn(console, 'warn').mockImplementation(() => undefined);
  const totals = await runRange(Number(first ?? part * count), count);
  warn.mockRestore();
  const file = process.env.LOWBIT_TEST_GRAPHS_RESULTS;
  if (file && part === 0) writeFileSync(file, JSON.stringify(totals));
  expect(totals.faults).toEqual([]);
  expect(totals.graphs).toBeGreaterThanOrEqual(Math.floor(0.9 * count));
}
