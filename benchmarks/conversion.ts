/**
 * Time of what is run before a model is: inspecting and rewriting large graphs, converting with options that search.
 *
 *   npm run bench:conversion
 *
 * Every command is a process of its own, its start included.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { packageRoot } from '../src/base/package-root';
import { table } from '../src/cli/command';
import { writeGraphModel } from '../src/graph/write-graph-model';
import { optimize } from '../src/passes/pipeline';
import '../src/index.node';
import { headerLines, machine } from './machine';
import { blocks } from './networks/blocks';
import { runCommand } from './run-command';

const CLI = join(__dirname, '..', 'src', 'cli', 'main.js');
const SHARED = join(packageRoot(), '..', 'shared');
const MOBILEFACE = join(SHARED, 'models', 'mobileface', 'model.json');

type Row = [what: string, seconds: string];

const seconds = (milliseconds: number) => (milliseconds / 1000).toFixed(1);

async function timeCommand(what: string, args: readonly string[]): Promise<Row> {
  const start = performance.now();
  await promisify(execFile)(process.execPath, [CLI, ...args], { maxBuffer: 2 ** 30 });
  return [what, seconds(performance.now() - start)];
}

async function inspectRow(folder: string): Promise<Row> {
  const graph = blocks(100, 240);
  const bytes = await writeGraphModel(graph, folder);
  const convolutions = [...graph.nodes.values()].filter(({ op }) => op.includes('Conv')).length;
  const what = `inspect, ${convolutions} convolutions, ${(bytes / 1e6).toFixed(1)} MB of float16 weights`;
  return timeCommand(what, ['inspect', join(folder, 'model.json')]);
}

function optimizeRow(): Row {
  const graph = blocks(500, 8);
  const start = performance.now();
  optimize(graph);
  return [`optimize, 1000 layers, ${graph.nodes.size} nodes`, seconds(performance.now() - start)];
}

function mobilefaceRow(output: string, option: string): Promise<Row> {
  const data = ['--calibration', join(SHARED, 'images', 'face_crops'), '--mean', '0', '--std', '1'];
  return timeCommand(`convert mobileface ${option}`, [
    ...['convert', '--input', MOBILEFACE, '--output', output],
    ...[...data, option],
  ]);
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tfjs-lowbit-conversion-'));
  try {
    const rows = [await inspectRow(join(folder, 'blocks')), optimizeRow()];
    if (existsSync(MOBILEFACE)) {
      for (const option of ['--error-feedback', '--tune'])
        rows.push(await mobilefaceRow(join(folder, option), option));
    }
    console.log(headerLines('npm run bench:conversion', machine()).join('\n'));
    console.log(table(['what', 'seconds'], rows));
  } finally {
    await rm(folder, { recursive: true });
  }
}

runCommand(new Command().description('times conversion, inspection and rewriting').action(main));
