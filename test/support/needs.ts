import { spawnSync } from 'node:child_process';

/** Whether a program runs on this machine. */
export function hasTool(name: string): boolean {
  return spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0;
}

/**
 * `describe` for tests that need something of the machine. Where it is absent they are skipped, and the end of the run says
 * so; in CI they run, and fail.
 *
 * @param need what is needed and, in a few words, why it is not there
 */
export function describeIf(present: boolean, need: string, name: string, body: () => void): void {
  if (present || process.env.CI) describe(name, body);
  else describe.skip(`${name} (needs ${need})`, body);
}
