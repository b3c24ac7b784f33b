/** The process that measures one model: `node --expose-gc memory-child.js model.json backend` prints a MemoryUse. */
import { setTimeout } from 'node:timers/promises';
import { install } from '../../kernels/register';
import '../runtime/provide-node-engine';
import * as tf from '@tensorflow/tfjs-core';
import { syntheticSample } from '../graph/samples';
import { ModelSession } from '../loading/session';
import { importBackend } from '../tfjs/backends';

const PREDICTIONS = 10;
const PAUSE = 100;

/** Buffers that one collection finds unused are freed by the next. */
async function collectGarbage(): Promise<void> {
  globalThis.gc?.();
  await setTimeout(PAUSE);
  globalThis.gc?.();
  await setTimeout(PAUSE);
}

async function main(location: string, backend: string): Promise<void> {
  install();
  install();
  await importBackend();
  await tf.setBackend(backend);
  // One small op, so that the backend's own memory is allocated before the measurement.
  tf.tidy(() => tf.add(tf.scalar(1), tf.scalar(1)).dataSync());
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  const session = await ModelSession.load(location);
  const sample = syntheticSample(session.inputs);
  for (let i = 0; i < PREDICTIONS; i++) await session.predict(sample);
  await collectGarbage();
  const resident = process.memoryUsage.rss() - before;
  const peak = process.resourceUsage().maxRSS * 1024 - before;
  console.log(JSON.stringify({ resident, peak }));
}

main(process.argv[2], process.argv[3]).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
