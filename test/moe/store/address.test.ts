import { inspect } from 'node:util';
import { shownHttp, shownRedis } from '../../../src/moe/store/address';
import { httpSource } from '../../../src/moe/store/http-source';
import { redisSource } from '../../../src/moe/store/redis-source';

test.each([
  ['redis://someone:hidden@host:6379/2', 'redis://host:6379/2'],
  ['rediss://host/0?password=hidden#prefix', 'rediss://host/0'],
  ['redis://host:6379?password=hidden', 'redis://host:6379'],
  ['redis://host/hidden', 'redis://host'],
  ['redis://[::1]:6379/1', 'redis://[::1]:6379/1'],
  ['redis://someone:hid@den@host:port', 'redis://host:port'],
])('the Redis address %s is shown as %s', (url, shown) => {
  expect(shownRedis(url)).toBe(shown);
});

test.each([
  'redis:someone:hidden@host',
  'redis:/someone:hidden@host',
  '//someone:hidden@host',
  'someone:hidden@host:1',
  'redis://:hidden',
  'redis://host:port?password=a@hidden',
  'redis://someone:a@b?hidden@host:port',
  'redis://someone:a@hidden#@host:port',
  'unix://someone:hidden@/run/redis',
  'hidden',
])('nothing secret is shown of the odd Redis address %s', async (url) => {
  expect(shownRedis(url)).not.toMatch(/hidden|someone/);
  const error = await redisSource({ url, prefix: 'any', timeout: 100 }).catch((e: Error) => e);
  expect(inspect(error, { depth: 9 })).not.toMatch(/hidden|someone/);
});

test.each([
  ['https://someone:hidden@host/experts.lbme?token=hidden#hidden', 'https://host/experts.lbme?...'],
  ['http://host:8080/experts.lbme', 'http://host:8080/experts.lbme'],
])('the web address %s is shown as %s', (url, shown) => {
  expect(shownHttp(url)).toBe(shown);
});

test.each([
  'http://someone:hidden@127.0.0.1:9/experts?token=hidden',
  'http://127.0.0.1:99999/?token=hidden',
  'ftp://someone:hidden@host/',
  'hidden',
])('errors about the web address %s show nothing secret', async (url) => {
  const error = await httpSource(url, { tries: 1, timeout: 100 }).catch((e: Error) => e);
  expect(error).toMatchObject({ name: 'LowbitError' });
  expect(inspect(error, { depth: 9 })).not.toMatch(/hidden|someone/);
});
