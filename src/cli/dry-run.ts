import type { DryRunReport } from '../conversion/dry-run';
import { accuracyTable } from './accuracy-table';
import { megabytes, milliseconds, percent, table } from './command';
import { floatTable, sizeAfter, speedRatio, workShare } from './figures';

/** Layers that are shown; `--json` has all. */
const SHOWN = 20;

const decibels = (value: number) => (Number.isFinite(value) ? value.toFixed(1) : 'no noise');

export function printDryRun({
  bytes,
  macs,
  quantized,
  float,
  latency,
  layers,
  activationPrecisions,
  accuracy,
  warnings,
}: DryRunReport): string {
  const summary = table(
    ['would be', 'float', 'INT8'],
    [
      ['nodes', float.length, quantized],
      ['multiply-accumulates', percent(100 - macs.integerPercent), workShare(macs.percent, macs)],
      ...(macs.int16 > 0
        ? [['multiply-accumulates in int16', '', percent(macs.integerPercent - macs.percent)]]
        : []),
      ['size', megabytes(bytes.before), sizeAfter(bytes)],
      [
        'time of a prediction',
        milliseconds(latency.float),
        `${milliseconds(latency.lowbit)} (${speedRatio(latency.speedup)})`,
      ],
    ],
  );
  const worst = (layers ?? [])
    .slice(0, SHOWN)
    .map(({ name, op, ownSignalToNoise, signalToNoise, predictedWithInt16 }) => [
      name,
      op,
      decibels(ownSignalToNoise),
      decibels(signalToNoise),
      decibels(predictedWithInt16),
      activationPrecisions[name] ?? '',
    ]);
  return [
    summary,
    `float on ${latency.backend}; INT8 on the ${latency.engine} engine, ${latency.isa}, threads: ${latency.threads}; medians of ${latency.runs} interleaved runs`,
    ...(accuracy ? [accuracyTable(accuracy)] : []),
    ...(worst.length > 0
      ? [
          table(
            [
              'alone in INT8, worst first',
              'op',
              'dB of its result',
              'dB of the outputs',
              'expected in int16 down to here',
              'would be',
            ],
            worst,
          ),
        ]
      : []),
    ...floatTable('would stay float', macs, float),
    ...warnings.map((warning) => `warning: ${warning}`),
  ].join('\n');
}
