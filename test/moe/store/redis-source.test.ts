// @needs engine
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { inspect } from 'node:util';
import { pageAligned } from '../../../src/moe/store/container';
import { fileSource } from '../../../src/moe/store/file-source';
import { copyToRedis, redisSource } from '../../../src/moe/store/redis-source';
import type { ExpertSource } from '../../../src/moe/store/source';
import { type ExpertFolder, expertBytes, makeExperts, openDirect } from '../../support/experts';
import { describeIf, hasTool } from '../../support/needs';

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

test.each([
  ['redis://someone:secret@127.0.0.1:9', 'io', 'Redis at redis://127.0.0.1:9'],
  ['redis://someone:sec@ret@127.0.0.1:port', 'invalid-argument', 'redis://127.0.0.1:port'],
  ['http://someone:secret@127.0.0.1', 'invalid-argument', 'http://127.0.0.1'],
])('an error about %s names neither user nor password', async (url, code, where) => {
  const error = await redisSource({ url, prefix: 'any', timeout: 300 }).catch((e: Error) => e);
  expect(error).toMatchObject({ code, message: expect.stringContaining(where) });
  expect(inspect(error)).not.toMatch(/someone|secret|sec@ret/);
});

describeIf(hasTool('redis-server'), 'redis-server, which is not installed', 'experts in Redis', () => {
  let made: ExpertFolder;
  let server: ChildProcess;
  let url: string;
  const prefix = 'shakespeare';

  const start = async (port: number) => {
    const arguments_ = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    server = spawn('redis-server', arguments_, { stdio: ['ignore', 'pipe', 'ignore'], cwd: made.folder });
    for await (const text of server.stdout!) if (String(text).includes('Ready to accept')) break;
  };

  beforeAll(async () => {
    made = await makeExperts();
    const port = await freePort();
    url = `redis://127.0.0.1:${port}`;
    await start(port);
    const source = await fileSource(made.path);
    await copyToRedis(source, { url, prefix });
    await source.close();
  });

  afterAll(async () => {
    server.kill('SIGKILL');
    await made.remove();
  });

  const readAll = async (source: ExpertSource) => {
    for (const record of source.index.records) {
      const into = new Uint8Array(pageAligned(record.bytes));
      await source.read(record, into);
      expect(into.subarray(0, record.bytes)).toEqual(
        expertBytes(record.layer, record.expert, record.precision),
      );
    }
  };

  test('are read as they were copied there', async () => {
    const source = await redisSource({ url, prefix });
    await readAll(source);
    await source.close();
  });

  test('are copied from a file that is read past the page cache', async () => {
    const direct = await openDirect(made.path);
    if (!direct) return;
    await copyToRedis(direct, { url, prefix: 'direct' });
    await direct.close();
    const source = await redisSource({ url, prefix: 'direct' });
    await readAll(source);
    await source.close();
  });

  test('are named without user and password', async () => {
    const source = await redisSource({ url: url.replace('//', '//default:secret@'), prefix });
    expect(source.name).toBe(`${url} ${prefix}`);
    await source.close();
  });

  test('under a prefix without any are an error that says what to do', async () => {
    await expect(redisSource({ url, prefix: 'other' })).rejects.toThrow(
      'has no experts under other; copy them there',
    );
  });

  test('of a server that is not there are an error that names it', async () => {
    await expect(redisSource({ url: 'redis://127.0.0.1:9', prefix, timeout: 300 })).rejects.toMatchObject({
      code: 'io',
      message: expect.stringContaining('redis://127.0.0.1:9'),
    });
  });

  test('are an error while the server is dead, and are read again after it came back', async () => {
    const source = await redisSource({ url, prefix, timeout: 500 });
    const [record] = source.index.records;
    const into = new Uint8Array(pageAligned(record!.bytes));
    server.kill('SIGKILL');
    await once(server, 'exit');
    await expect(source.read(record!, into)).rejects.toMatchObject({ code: 'io' });
    await start(Number(new URL(url).port));
    const file = await fileSource(made.path);
    await copyToRedis(file, { url, prefix });
    await file.close();
    for (let tries = 0; ; tries++) {
      try {
        await readAll(source);
        break;
      } catch (error) {
        if (tries > 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    await source.close();
  });
});
