import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { pageAligned } from '../../../src/moe/store/container';
import { httpSource } from '../../../src/moe/store/http-source';
import { type ExpertFolder, expertBytes, makeExperts } from '../../support/experts';

let made: ExpertFolder;
let bytes: Buffer;
let server: Server;
let url: string;
/** What becomes of the next requests for ranges; the last stays. */
let answers: ((request: IncomingMessage, response: ServerResponse) => void)[];

function rangeOf(request: IncomingMessage): Buffer {
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range!)!;
  return bytes.subarray(Number(from), Number(to) + 1);
}

const right = (request: IncomingMessage, response: ServerResponse) =>
  response.writeHead(206).end(rangeOf(request));
const busy = (_: IncomingMessage, response: ServerResponse) => response.writeHead(503).end();
const cut = (request: IncomingMessage, response: ServerResponse) => {
  response.writeHead(206, { 'content-length': rangeOf(request).length });
  response.write(rangeOf(request).subarray(0, 10));
  setTimeout(() => response.destroy(), 5);
};

beforeEach(async () => {
  made = await makeExperts();
  bytes = await readFile(made.path);
  answers = [right];
  server = createServer((request, response) => {
    if (request.method === 'HEAD') return response.writeHead(200, { 'content-length': bytes.length }).end();
    return (answers.length > 1 ? answers.shift()! : answers[0]!)(request, response);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/experts`;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
  await made.remove();
});

const options = { retryDelay: 1, timeout: 300 };

async function readFirst(): Promise<Uint8Array> {
  const source = await httpSource(url, options);
  const [record] = source.index.records;
  const into = new Uint8Array(pageAligned(record!.bytes));
  await source.read(record!, into);
  return into.subarray(0, record!.bytes);
}

test('reads experts by ranges', async () => {
  expect(await readFirst()).toEqual(expertBytes(0, 0));
});

test('tries again after an answer of a busy server and after a connection that broke', async () => {
  answers = [busy, right, cut, right, busy, cut, right];
  expect(await readFirst()).toEqual(expertBytes(0, 0));
});

test.each([
  ['stays busy', busy, 'the server answered 503'],
  [
    'does not know the file',
    (_: IncomingMessage, r: ServerResponse) => r.writeHead(404).end(),
    'answered 404',
  ],
  [
    'knows no ranges',
    (_: IncomingMessage, r: ServerResponse) => r.writeHead(200).end('all'),
    'range requests',
  ],
  ['never answers', () => {}, 'timeout'],
])('a server that %s is an error that tells so', async (_, answer, message) => {
  const source = await httpSource(url, options);
  answers = [answer as (request: IncomingMessage, response: ServerResponse) => void];
  const [record] = source.index.records;
  await expect(source.read(record!, new Uint8Array(pageAligned(record!.bytes)))).rejects.toMatchObject({
    code: 'io',
    message: expect.stringContaining(message),
  });
});

const limited = (_: IncomingMessage, response: ServerResponse) =>
  response.writeHead(429, { 'retry-after': '0.05' }).end();
/** A whole answer, by its headers, of fewer bytes than were wanted. */
const short = (request: IncomingMessage, response: ServerResponse) =>
  response.writeHead(206).end(rangeOf(request).subarray(0, 10));

test('tries again where the server is asked too often, waiting as long as it says, and after a short body', async () => {
  answers = [limited, right, short, right, short, limited, right];
  const start = performance.now();
  expect(await readFirst()).toEqual(expertBytes(0, 0));
  expect(performance.now() - start).toBeGreaterThan(95);
});

test('a size that could not be had at first is had later', async () => {
  const heads = [429, 503];
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.method !== 'HEAD') return right(request, response);
    return response.writeHead(heads.shift() ?? 200, { 'content-length': bytes.length }).end();
  });
  expect(await readFirst()).toEqual(expertBytes(0, 0));
});

/** Sends until the client leaves. */
const endless = (_: IncomingMessage, response: ServerResponse) => {
  response.writeHead(206);
  const send = () => {
    while (!response.destroyed && response.write(Buffer.alloc(65536)));
  };
  response.on('drain', send);
  send();
};
const zeros = gzipSync(Buffer.alloc(50_000_000));
const zipped = (_: IncomingMessage, response: ServerResponse) =>
  response.writeHead(206, { 'content-encoding': 'gzip' }).end(zeros);

test.each([
  ['never ends is left after the bytes of the range', endless, 'the server sent more than the 9000 bytes'],
  ['inflates is not read', zipped, 'the server compressed the range (gzip)'],
])('a body that %s', async (_, answer, message) => {
  const source = await httpSource(url, options);
  answers = [answer];
  const [record] = source.index.records;
  const into = new Uint8Array(pageAligned(record!.bytes));
  const before = process.memoryUsage().arrayBuffers;
  await expect(source.read(record!, into)).rejects.toThrow(message);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000);
});

test('a server that claims an index of gigabytes is refused', async () => {
  const prefix = Buffer.from(bytes.subarray(0, 24));
  prefix.writeUInt32LE(2 ** 32 - 1, 16);
  const size = Number(prefix.readBigUInt64LE(8)) + 2 ** 32 - 1;
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) =>
    request.method === 'HEAD'
      ? response.writeHead(200, { 'content-length': size }).end()
      : response.writeHead(206).end(prefix),
  );
  await expect(httpSource(url, options)).rejects.toThrow(
    'its index has 4294967295 bytes, more than 268435456',
  );
});

test('user and password of the address go into a header', async () => {
  let authorization: string | undefined;
  answers = [
    (request, response) => {
      authorization = request.headers.authorization;
      right(request, response);
    },
  ];
  url = url.replace('//', '//someone:se%20cret@');
  expect(await readFirst()).toEqual(expertBytes(0, 0));
  expect(authorization).toBe(`Basic ${Buffer.from('someone:se cret').toString('base64')}`);
});

test('bytes that were changed on the way are refused', async () => {
  const source = await httpSource(url, options);
  const [record] = source.index.records;
  bytes[record!.offset + 5]! ^= 1;
  await expect(source.read(record!, new Uint8Array(pageAligned(record!.bytes)))).rejects.toThrow(
    'checksum is wrong',
  );
});

test('a server that is not there is an error that names it', async () => {
  await expect(httpSource('http://127.0.0.1:9/experts', options)).rejects.toThrow(
    'http://127.0.0.1:9/experts',
  );
});
