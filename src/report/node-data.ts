/**
 * A report as node data of Model Explorer, which shows the float model with every node coloured by a figure: one file a
 * figure, in the form of `GraphNodeData` of the Python package `ai-edge-model-explorer` (`node_data_builder.py`).
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { LowbitError } from '../base/errors';
import type { Report, ReportLayer } from './report';

interface NodeValue {
  readonly value: number | string;
  readonly bgColor?: string;
}

interface GraphNodeData {
  readonly name: string;
  /** By the name of a node in the float model. */
  readonly results: Readonly<Record<string, NodeValue>>;
  /** Colours of the lowest and of the highest value. */
  readonly gradient?: readonly { readonly stop: 0 | 1; readonly bgColor: string }[];
}

type LayerFigure = (layer: ReportLayer) => number | undefined;

const GOOD = '#81c995';
const FAIR = '#fde293';
const POOR = '#f28b82';

const PRECISION_COLOURS: Readonly<Record<ReportLayer['precision'], string>> = {
  int8: GOOD,
  'dynamic int8': GOOD,
  int16: FAIR,
  float32: POOR,
};

function figures(layers: readonly ReportLayer[], name: string, of: LayerFigure, colours: [string, string]) {
  const values = layers.flatMap((layer) => {
    const value = of(layer);
    return value === undefined || !Number.isFinite(value) ? [] : [[layer.name, { value }] as const];
  });
  const gradient = [
    { stop: 0 as const, bgColor: colours[0] },
    { stop: 1 as const, bgColor: colours[1] },
  ];
  return { name, results: Object.fromEntries(values), gradient };
}

function precisions({ layers, float }: Report): GraphNodeData {
  const precisionOf = (precision: ReportLayer['precision']) => ({
    value: precision,
    bgColor: PRECISION_COLOURS[precision],
  });
  const left = float.map(({ name }) => [name, precisionOf('float32')] as const);
  const run = layers.map(({ name, precision }) => [name, precisionOf(precision)] as const);
  return { name: 'activation precision', results: Object.fromEntries([...left, ...run]) };
}

/** The figures of a report, by the name of their file. A layer without noise has no signal-to-noise ratio. */
export function nodeDataOf(report: Report): ReadonlyMap<string, GraphNodeData> {
  const { layers } = report;
  const weighted: LayerFigure = ({ macs }) => (macs > 0 ? macs : undefined);
  const noise = figures(layers, 'signal-to-noise, dB', (layer) => layer.signalToNoise, [POOR, GOOD]);
  return new Map([
    ['bits-of-weights', figures(layers, 'bits of weights', ({ bits }) => bits.weights, [GOOD, POOR])],
    ['activation-precision', precisions(report)],
    ['signal-to-noise', noise],
    ['products', figures(layers, 'multiply-accumulates', weighted, ['#ffffff', '#8ab4f8'])],
    [
      'bytes',
      figures(layers, 'bytes of weights', ({ bytes }) => bytes.after || undefined, ['#ffffff', '#8ab4f8']),
    ],
  ]);
}

/**
 * Writes a report as node data, a file a figure.
 *
 * @returns the absolute path of the folder
 * @throws LowbitError 'io' if it cannot be written
 */
export async function writeNodeData(report: Report, folder: string): Promise<string> {
  const target = resolve(folder);
  try {
    await mkdir(target, { recursive: true });
    for (const [name, data] of nodeDataOf(report)) {
      await writeFile(join(target, `${name}.json`), `${JSON.stringify(data, undefined, 2)}\n`);
    }
  } catch (cause) {
    throw new LowbitError('io', `Cannot write ${target}: ${(cause as Error).message}`, { cause });
  }
  return target;
}
