import { throwIfCancelled } from '../base/cancelled';
import { LowbitError } from '../base/errors';
import { type InspectReport, inspect } from '../evaluation/inspect';
import { type ConvertedReport, inspectConverted } from '../evaluation/inspect-converted';
import { inspectRegion, type RegionReport, type RegionTensor } from '../evaluation/inspect-region';
import { Command } from '../vendor/commander';
import { type CommonOptions, megabytes, percent, runCommand, table, withCommonOptions } from './command';
import { floatTable, workShare } from './figures';

function dims(shape: readonly number[] | undefined): string {
  return `[${shape?.map((dim) => (dim < 0 ? '?' : dim)).join(', ') ?? 'unknown'}]`;
}

function tensor({ name, dtype, shape }: InspectReport['inputs'][number]): string {
  return `${name} ${dtype} ${dims(shape)}`;
}

function layerRow({
  name,
  op,
  output,
  precision,
  weightSignalToNoise,
  reason,
  result,
  weights,
  bitsPerWeight,
  rotation,
  weightsReason,
}: ConvertedReport['layers'][number]) {
  return [
    name,
    op,
    result && result.bits !== 8 ? `int${result.bits}` : precision,
    weights === undefined ? '' : `${weights}${rotation ? ', rotated' : ''}`,
    bitsPerWeight?.toFixed(2) ?? '',
    result ? `${result.scale.toPrecision(4)}, ${result.zeroPoint}` : '',
    weightSignalToNoise === undefined ? '' : `${weightSignalToNoise.toFixed(1)} dB`,
    reason ?? weightsReason ?? (output === undefined ? '' : `with ${output}`),
  ];
}

function printConverted(report: ConvertedReport): string {
  const { calibration, layers } = report;
  const quantized = layers.filter(({ precision }) => precision !== 'float32').length;
  return [
    table(
      ['converted model', ''],
      [
        ['inputs', report.inputs.map(tensor).join('; ')],
        ['outputs', report.outputs.map(tensor).join('; ')],
        ['size', megabytes(report.fileBytes)],
        [
          'nodes',
          `${quantized} in INT8 in ${report.regions} region(s), ${layers.length - quantized} in float`,
        ],
        ...(report.regions > 0 ? [['seen inside by --region', report.regionNames.join(', ')]] : []),
        ['scheme', report.scheme],
        ...Object.entries(calibration).map(([name, value]) => [
          `calibration: ${name}`,
          typeof value === 'object' ? JSON.stringify(value) : String(value),
        ]),
        ['converted by', `tfjs-lowbit ${report.toolVersion}`],
        ['runs here on', `the ${report.engine} engine, ${report.isa}`],
      ],
    ),
    table(
      ['layer', 'op', 'precision', 'weights', 'bits per weight', 'scale, zero point', 'of weights', ''],
      layers.map(layerRow),
    ),
  ].join('\n');
}

async function inspectAny(location: string): Promise<InspectReport | ConvertedReport> {
  try {
    return await inspect(location);
  } catch (error) {
    if (error instanceof LowbitError && error.code === 'already-converted') return inspectConverted(location);
    throw error;
  }
}

function codes({ scale, zeroPoint }: RegionTensor): string {
  return scale === undefined ? '' : `${scale.toPrecision(4)}, ${zeroPoint}`;
}

function printRegion({ region, inputs, ops, outputs }: RegionReport): string {
  const refer = (source: number | string) => (typeof source === 'number' ? `#${source}` : source);
  return [
    `region:  ${region}`,
    `inputs:  ${inputs.map(({ name, precision, shape }) => `${name} ${precision} ${dims(shape)}`).join('; ')}`,
    table(
      ['', 'node', 'op', 'reads', 'precision', 'shape', 'scale, zero point', 'bits of weights'],
      ops.map(({ name, op, inputs: read, output, bitsOfWeights }, i) => [
        `#${i}`,
        name,
        op,
        read.map(refer).join(', '),
        output.precision,
        dims(output.shape),
        codes(output),
        bitsOfWeights === undefined ? '' : String(bitsOfWeights),
      ]),
    ),
    `outputs: ${outputs.map(refer).join(', ')}`,
  ].join('\n');
}

function print(report: InspectReport | ConvertedReport | RegionReport): string {
  if ('region' in report) return printRegion(report);
  return 'layers' in report ? printConverted(report) : printFloat(report);
}

function printFloat({ inputs, outputs, ops, quantizable, float, totals }: InspectReport): string {
  const millions = (macs: number) => (macs / 1e6).toFixed(2);
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
    `INT8 takes ${workShare(quantizable.macsPercent, quantizable)} of the multiply-accumulates and ${percent(quantizable.bytesPercent)} of the weight bytes (${quantizable.nodes} nodes after folding).`,
    ...floatTable('stays float', quantizable, float),
  ].join('\n');
}

export function inspectCommand(): Command {
  const command = new Command('inspect')
    .description(
      'show what a model consists of: how much of a float model can be quantized, how a converted model was quantized',
    )
    .argument('<model.json>', 'a float model or a converted model')
    .option(
      '--region <name>',
      'list what is inside a region of a converted model: ops, shapes, scales, precisions',
    );
  return withCommonOptions(command, 'tfjs-lowbit inspect mobilenet/model.json').action(
    (location: string, options: CommonOptions & { region?: string }) =>
      runCommand(
        options,
        async ({ signal }) => {
          const { region } = options;
          const report = await (region === undefined
            ? inspectAny(location)
            : inspectRegion(location, region));
          throwIfCancelled(signal);
          return report;
        },
        print,
      ),
  );
}
