import { checkArgument } from '../base/errors';
import { parseRecordLayout } from '../calibration/data/record-layout';
import { labelledRecords } from '../calibration/data/records';
import type { LabelledSource } from '../graph/samples';
import type { Command } from '../vendor/commander';

export interface RecordCliOptions {
  records?: string;
  recordLayout?: string;
  labelOffset?: number;
  mean?: number[];
  std?: number[];
}

export function withRecordOptions(command: Command): Command {
  return command
    .option(
      '--records <file>',
      'a raw binary file of records of one size; --mean and --std then default to 0 and 1',
    )
    .option(
      '--record-layout <layout>',
      'layout of a record: skip=BYTES,label=BYTES,dtype=uint8,shape=32x32x3,layout=hwc|chw (defaults: no label, uint8, ' +
        "the model's own shape, hwc); CIFAR-10: label=1,layout=chw",
    );
}

/**
 * The records that a command was given; undefined where it was given none.
 *
 * @throws LowbitError 'invalid-argument' for a layout that cannot be read, or without its file
 */
export function recordSource(options: RecordCliOptions): LabelledSource | undefined {
  const { records, recordLayout, labelOffset, mean, std } = options;
  const alone = records === undefined && recordLayout !== undefined;
  checkArgument(!alone, '--record-layout', 'no layout without --records', recordLayout);
  return records === undefined
    ? undefined
    : labelledRecords(records, { ...parseRecordLayout(recordLayout ?? ''), labelOffset, mean, std });
}
