import type { DryRunReport } from '../conversion/dry-run';
import { accuracyTable } from './accuracy-table';
import { megabytes, milliseconds, percent, table } from './command';

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
      ['multiply-accumulates', percent(100 - macs.integerPercent), percent(macs.percent)],
      ...(macs.int16 > 0
        ? [['multiply-accumulates in int16', '', percent(macs.integerPercent - macs.percent)]]
        : []),
      [
        'size',
        megabytes(bytes.before),
        `${megabytes(bytes.after)} (${(bytes.before / bytes.after).toFixed(2)}x smaller)`,
      ],
      [
        'time of a prediction',
        milliseconds(latency.float),
        `${milliseconds(latency.lowbit)} (${latency.speedup.toFixed(2)}x faster)`,
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
    `float on ${latency.backend}; INT8 on ${latency.isa}, threads: ${latency.threads}; medians of ${latency.runs} interleaved runs`,
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
    ...(float.length > 0
      ? [
          table(
            ['would stay float', 'op', 'why'],
            float.map(({ name, op, reason }) => [name, op, reason ?? '']),
          ),
        ]
      : []),
    ...warnings.map((warning) => `warning: ${warning}`),
  ].join('\n');
}
