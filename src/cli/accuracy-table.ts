import type { AccuracyReport } from '../conversion/report-types';
import { table } from './command';

/** How an accuracy target was met. */
export function accuracyTable({ samples, quantized, converted, kept, trials }: AccuracyReport): string {
  const drop = (points?: number) => (points === undefined ? '' : points.toFixed(2));
  const rows = [
    ['all in INT8', drop(quantized.top1Drop), quantized.signalToNoise.toFixed(1)],
    ['as converted', drop(converted.top1Drop), converted.signalToNoise.toFixed(1)],
    ...kept.map(({ name, precision, signalToNoise }) => [
      `in ${precision}: ${name}`,
      '',
      `${signalToNoise.toFixed(1)} alone`,
    ]),
  ];
  return table([`accuracy on ${samples} samples, ${trials} tried`, 'points of top-1 lost', 'dB'], rows);
}
