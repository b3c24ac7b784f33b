import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTrace, writeTrace } from '../../src/moe/trace';

let folder: string;
let path: string;

const trace = {
  tokens: 2,
  layers: 1,
  experts: 3,
  topK: 1,
  source: 'drawn',
  logits: Float32Array.from([1, 2, 3, -1, 0.5, Number.NaN]),
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lowbit-trace-'));
  path = join(folder, 'a.moetrace');
  await writeTrace(path, trace);
});

afterEach(() => rm(folder, { recursive: true }));

test('what is written is read, and nothing is left beside it', async () => {
  expect(await readTrace(path)).toEqual(trace);
  expect(await readdir(folder)).toEqual(['a.moetrace']);
});

test.each([
  ['another file', (bytes: Buffer) => bytes.fill(65, 0, 4), 'does not start with LBMT'],
  [
    'a truncated one',
    (bytes: Buffer) => bytes.subarray(0, bytes.length - 3),
    '21 bytes of logits instead of 24',
  ],
  ['one cut within its header', (bytes: Buffer) => bytes.subarray(0, 20), 'ends within its header'],
  ['a damaged header', (bytes: Buffer) => bytes.fill('?', 12, 16), 'its header is damaged'],
  ['a later version', (bytes: Buffer) => bytes.fill(9, 4, 5), 'install a newer tfjs-lowbit'],
])('refuses %s', async (_, damage, message) => {
  await writeFile(path, damage(await readFile(path)));
  await expect(readTrace(path)).rejects.toThrow(message);
});

test.each<[string, Partial<typeof trace>, string]>([
  [
    'billions of experts, without a token',
    { tokens: 0, experts: 2e9, logits: new Float32Array(0) },
    'it has no tokens',
  ],
  ['billions of experts', { experts: 2e9 }, 'bytes of logits instead of'],
  ['more picks than experts', { topK: 1e9 }, 'it picks 1000000000 of 3 experts'],
])('refuses a trace that claims %s', async (_, claims, message) => {
  await writeTrace(path, { ...trace, ...claims });
  await expect(readTrace(path)).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringContaining(message),
  });
});

test('a path that cannot be written leaves nothing', async () => {
  await expect(writeTrace(join(folder, 'none', 'b'), trace)).rejects.toMatchObject({ code: 'io' });
  expect(await readdir(folder)).toEqual(['a.moetrace']);
});
