// @needs engine
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { writeContainer } from '../../src/moe/store/container';
import { type ExpertLayout, packExpert } from '../../src/moe/store/expert-bytes';
import { writeTrace } from '../../src/moe/trace';
import { Random } from '../support/random';

const LAYERS = 2;
const EXPERTS = 8;
const layout: ExpertLayout = { width: 16, hidden: 24, activation: 'relu', gated: false };
const main = join(__dirname, '../../dist/src/cli/main.js');

let folder: string;
let arguments_: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lowbit-replay-'));
  const random = new Random(6);
  const draw = (count: number) => Float32Array.from({ length: count }, () => random.real(-1, 1));
  const experts = Array.from({ length: LAYERS * EXPERTS }, (_, i) => ({
    layer: Math.floor(i / EXPERTS),
    expert: i % EXPERTS,
    precision: 0,
    bytes: packExpert(layout, { up: { values: draw(384) }, down: { values: draw(384) } }, { format: 'int8' }),
  }));
  const model = { layers: LAYERS, experts: EXPERTS, precisions: [{ name: 'int8', layout }] };
  await writeContainer(join(folder, 'experts'), model, experts);
  const tokens = 3000;
  const logits = draw(tokens * LAYERS * EXPERTS);
  await writeTrace(join(folder, 'trace'), { tokens, layers: LAYERS, experts: EXPERTS, topK: 2, logits });
  arguments_ = ['moe', 'replay', '--trace', join(folder, 'trace'), '--experts', join(folder, 'experts')];
});

afterAll(() => rm(folder, { recursive: true }));

const run = async (...more: string[]) =>
  (await promisify(execFile)(process.execPath, [main, ...arguments_, ...more])).stdout;

test('tells tokens per second, hits and memory, within the budget', async () => {
  const plain = JSON.parse(await run('--budget', '50%', '--json'));
  expect(plain.tokens).toBe(3000);
  expect(plain.tokensPerSecond).toBeGreaterThan(0);
  expect(plain.reservedBytes).toBe(8 * 4096);
  expect(plain.metrics.hits + plain.metrics.misses).toBe(3000 * LAYERS * 2);
  const favouring = JSON.parse(await run('--budget', '50%', '--bonus', '0.3', '--json'));
  expect(favouring.metrics.misses).toBeLessThan(plain.metrics.misses);
  expect(await run('--budget', '40kB', '--prefetch', '1', '--repeat', '2')).toContain('6000 in');
});

test('serves metrics while it runs', async () => {
  const port = 20000 + (process.pid % 20000);
  const child = spawn(process.execPath, [main, ...arguments_, '--metrics-port', String(port)], {
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  let text = '';
  let done = false;
  ended.then(() => {
    done = true;
  });
  while (!done && text === '') {
    text = await fetch(`http://127.0.0.1:${port}/metrics`).then(
      (answer) => answer.text(),
      () => '',
    );
  }
  await ended;
  expect(text).toContain('lowbit_moe_expert_hits_total');
});

test('refuses what does not fit, with advice', async () => {
  await expect(run('--budget', '10%')).rejects.toThrow('4 experts of 4096 bytes need 16384');
  await expect(run('--budget', 'watch')).rejects.toThrow('raspberry-pi-5');
  await expect(run('--budget', '0%')).rejects.toThrow('Expected a share such as 25%');
});
