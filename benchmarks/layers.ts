/**
 * Every layer of a model against the limits of the machine, most time lost first:
 *
 *   npm run bench:layers
 *   npm run bench:layers -- --model resnet50 --threads 1,2
 *
 * The limits (int8 products in registers, reads from L2 and from memory) are measured in the same run, with the same
 * instruction set and number of threads. A model of one's own: tfjs-lowbit bench --model model.json --profile.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { positiveInteger, positiveIntegers } from '../src/cli/command';
import { profileText } from '../src/cli/profile-table';
import { convert } from '../src/conversion/convert';
import { bench } from '../src/evaluation/bench';
import '../src/index.node';
import { headerLines, machine } from './machine';
import { runCommand } from './run-command';
import { findSubjects } from './subjects';

interface Options {
  model: string;
  threads: number[];
  batch: number;
  runs: number;
  json?: boolean;
}

async function main({ model: name, threads, batch, runs, json }: Options): Promise<void> {
  const [subject] = findSubjects([name]);
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-lowbit-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const input = await subject.float(join(folder, 'float'));
  const output = join(folder, 'int8');
  await convert({ input, output, calibration: subject.calibration, samples: 4, recipe: 'fast' });
  const { results } = await bench({ model: join(output, 'model.json'), threads, batch, runs, profile: true });
  if (json) {
    console.log(JSON.stringify({ model: name, batch, runs, machine: machine(), results }, null, 2));
    return;
  }
  console.log(headerLines('npm run bench:layers', machine()).join('\n'));
  for (const { threads: count, model, profile } of results) {
    const time = `${model.median.toFixed(3)} ms (minimum ${model.min.toFixed(3)} ms)`;
    console.log(
      `\n${name}, batch ${batch}, threads ${count}, ${runs} runs: median ${time} without the profile`,
    );
    console.log(profileText(profile!));
  }
}

runCommand(
  new Command('bench:layers')
    .option('--model <name>', 'one that bench:models knows', 'mobilenet_v2')
    .option('--threads <numbers>', 'separated by commas', positiveIntegers, [1])
    .option('--batch <number>', 'samples in a prediction', positiveInteger, 1)
    .option('--runs <number>', 'profiled predictions', positiveInteger, 100)
    .option('--json', 'print the result as JSON')
    .action(main),
);
