/** `lowbit.json`. */
import { readFile, writeFile } from 'node:fs/promises';
import { LowbitError } from '../../base/errors';
import { type Config, checkConfig } from './config';

/** @throws LowbitError 'io' if it cannot be read, 'invalid-argument' as `checkConfig` */
export async function readConfig(path: string): Promise<Config> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new LowbitError('io', `Cannot read the configuration ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
  return checkConfig(value, path);
}

/** @throws LowbitError 'io' if it cannot be written */
export async function writeConfig(path: string, config: Config): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(config, null, 2)}\n`);
  } catch (cause) {
    throw new LowbitError('io', `Cannot write the configuration ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
}
