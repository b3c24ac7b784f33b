/** Layers in the terminal. */
import type { ReportLayer } from '../report/report';
import { milliseconds, percent, table } from './command';

const MAX_CHARACTERS = 44;

/** The end of a long name, which is more specific than its beginning. */
function shorten(name: string): string {
  return name.length > MAX_CHARACTERS ? `…${name.slice(1 - MAX_CHARACTERS)}` : name;
}

function decibels(value: number | undefined): string {
  if (value === undefined) return '';
  return value === Number.POSITIVE_INFINITY ? 'exact' : `${value.toFixed(1)} dB`;
}

function row({
  name,
  op,
  fused,
  precision,
  macs,
  bytes,
  milliseconds: time,
  ...layer
}: ReportLayer): string[] {
  return [
    shorten(name),
    [op, ...fused].join(' + '),
    precision,
    layer.weights === undefined ? '' : `${layer.weights.format}, ${layer.weights.bitsPerWeight.toFixed(2)}`,
    decibels(layer.signalToNoise),
    decibels(layer.weightSignalToNoise),
    layer.clipped === undefined ? '' : percent(layer.clipped),
    (macs / 1e6).toFixed(2),
    bytes.before === 0 ? '' : `${(bytes.before / 1e3).toFixed(1)} → ${(bytes.after / 1e3).toFixed(1)}`,
    time === undefined ? '' : `${milliseconds(time.before)} → ${milliseconds(time.after)}`,
  ];
}

/** Worst first. */
export function layersTable(layers: readonly ReportLayer[]): string {
  const head = [
    'layer',
    'op',
    'precision',
    'weights, bits',
    'noise',
    'of weights',
    'clipped',
    'million MACs',
    'kB',
    'time',
  ];
  return table(head, [...layers].sort((a, b) => a.signalToNoise - b.signalToNoise).map(row));
}
