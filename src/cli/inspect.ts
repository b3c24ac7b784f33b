import { Command } from 'commander';
import { throwIfCancelled } from '../evaluation/cancelled';
import { type InspectReport, inspect } from '../inspect';
import { type CommonOptions, megabytes, percent, runCommand, table, withCommonOptions } from './command';

function print({ inputs, outputs, ops, quantizable, float, totals }: InspectReport): string {
  const millions = (macs: number) => (macs / 1e6).toFixed(2);
  const tensor = ({ name, dtype, shape }: InspectReport['inputs'][number]) =>
    `${name} ${dtype} [${shape?.map((dim) => (dim < 0 ? '?' : dim)).join(', ') ?? 'unknown'}]`;
  return [
    `inputs:  ${inputs.map(tensor).join('; ')}`,
    `outputs: ${outputs.map(tensor).join('; ')}`,
    table(
      ['op', 'nodes', 'million multiply-accumulates', 'weights'],
      [
        ...ops.map(({ op, nodes, macs, bytes }) => [op, nodes, millions(macs), megabytes(bytes)]),
        ['total', totals.nodes, millions(totals.macs), megabytes(totals.weightBytes)],
      ],
    ),
    `INT8 takes ${percent(quantizable.macsPercent)} of the multiply-accumulates and ${percent(quantizable.bytesPercent)} of the weight bytes (${quantizable.nodes} nodes after folding).`,
    ...(float.length > 0
      ? [
          table(
            ['stays float', 'op', 'why'],
            float.map(({ name, op, reason }) => [name, op, reason]),
          ),
        ]
      : []),
  ].join('\n');
}

export function inspectCommand(): Command {
  const command = new Command('inspect')
    .description('tell what a float model is made of and how much of it can be quantized')
    .argument('<model.json>', 'the float model');
  return withCommonOptions(command, 'tfjs-lowbit inspect mobilenet/model.json').action(
    (location: string, options: CommonOptions) =>
      runCommand(
        options,
        async ({ signal }) => {
          const report = await inspect(location);
          throwIfCancelled(signal);
          return report;
        },
        print,
      ),
  );
}
