/**
 * Predictions per second of one worker thread and of several at once, each with its own copy of the models:
 *
 *   npm run bench:workers
 *   npm run bench:workers -- --models mobilenet_v2,resnet50 --workers 1,2,4
 *
 * Every worker predicts with its models in turn. The workers share one pool of threads.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Command } from 'commander';
import { positiveInteger, positiveIntegers, table } from '../src/cli/command';
import { convert } from '../src/conversion/convert';
import { syntheticSample } from '../src/graph/samples';
import { getThreads, setThreads } from '../src/index.node';
import { ModelSession } from '../src/loading/session';
import { importBackend, withBackend } from '../src/tfjs/backends';
import { headerLines, machine } from './machine';
import { runCommand } from './run-command';
import { findSubjects } from './subjects';

interface Options {
  models: string[];
  workers: number[];
  threads: number;
  seconds: number;
  json?: boolean;
}

interface Result {
  workers: number;
  predictionsPerSecond: number;
  /** Against one of the same table. */
  timesFirst: number;
}

/** A worker only loads until it receives how long to predict; then it reports how many predictions it made. */
async function work(models: readonly string[]): Promise<void> {
  await withBackend(await importBackend(), async () => {
    const sessions = await Promise.all(models.map((model) => ModelSession.load(model)));
    const loaded = sessions.map((session) => ({
      session,
      feeds: session.feed(syntheticSample(session.inputs)),
    }));
    const round = async () => {
      for (const { session, feeds } of loaded) await session.execute(feeds);
    };
    for (let i = 0; i < 20; i++) await round();
    parentPort!.postMessage('ready');
    const [milliseconds] = (await once(parentPort!, 'message')) as [number];
    const start = performance.now();
    let predictions = 0;
    while (performance.now() - start < milliseconds) {
      await round();
      predictions += loaded.length;
    }
    parentPort!.postMessage(predictions / ((performance.now() - start) / 1000));
  });
}

async function throughput(models: readonly string[], count: number, seconds: number): Promise<number> {
  const workers = Array.from({ length: count }, () => new Worker(__filename, { workerData: models }));
  try {
    await Promise.all(workers.map((worker) => once(worker, 'message')));
    const done = workers.map((worker) => once(worker, 'message') as Promise<[number]>);
    for (const worker of workers) worker.postMessage(seconds * 1000);
    const rates = await Promise.all(done);
    return rates.reduce((sum, [rate]) => sum + rate, 0);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

async function convertAll(names: readonly string[], folder: string): Promise<string[]> {
  const converted: string[] = [];
  for (const subject of findSubjects(names)) {
    const input = await subject.float(join(folder, subject.name));
    const output = join(folder, `${subject.name}-int8`);
    await convert({ input, output, calibration: subject.calibration, samples: 2, recipe: 'fast' });
    converted.push(join(output, 'model.json'));
  }
  return converted;
}

async function main({ models, workers, threads, seconds, json }: Options): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-lowbit-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const converted = await convertAll(models, folder);
  setThreads(threads);
  const results: Result[] = [];
  for (const count of workers) {
    const predictionsPerSecond = await throughput(converted, count, seconds);
    const first = results[0]?.predictionsPerSecond ?? predictionsPerSecond;
    results.push({ workers: count, predictionsPerSecond, timesFirst: predictionsPerSecond / first });
  }
  if (json) {
    console.log(JSON.stringify({ models, threads, machine: machine(), results }, null, 2));
    return;
  }
  console.log(headerLines('npm run bench:workers', machine()).join('\n'));
  console.log(
    `${models.join(', ')}, batch 1, ${getThreads()} threads for all workers together, ${seconds} s each`,
  );
  const rows = results.map(({ workers: count, predictionsPerSecond, timesFirst }) => [
    count,
    predictionsPerSecond.toFixed(1),
    `${timesFirst.toFixed(2)}x`,
  ]);
  console.log(table(['workers', 'predictions / s', `against ${workers[0]}`], rows));
}

if (isMainThread) {
  runCommand(
    new Command('bench:workers')
      .option('--models <names>', 'separated by commas', (text) => text.split(','), [
        'mobilenet_v2',
        'mobilenet_v1',
      ])
      .option('--workers <numbers>', 'how many at once, separated by commas', positiveIntegers, [1, 2])
      .option('--threads <number>', 'of the pool that they share', positiveInteger, 1)
      .option('--seconds <number>', 'for each number of workers', Number, 5)
      .option('--json', 'print the result as JSON')
      .action(main),
  );
} else {
  work(workerData);
}
