/** The mutations name text of the native code; the check itself takes hours and runs on demand. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

test('every mutation fits the code', () => {
  const { stderr, status } = spawnSync(process.execPath, [join(__dirname, 'run.js'), '--check'], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});
