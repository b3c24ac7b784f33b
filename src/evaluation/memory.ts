/** Memory that loading and running a model takes, measured in a process of its own. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { throwIfCancelled } from '../base/cancelled';
import { LowbitError } from '../base/errors';

export interface MemoryUse {
  /** Growth of the resident set from before loading to after some predictions and a garbage collection, in bytes. */
  readonly resident: number;
  /** The same to the highest point in between. */
  readonly peak: number;
}

/**
 * @param location model.json
 * @param backend TF.js backend that the model runs on
 * @param signal ends the process
 * @throws LowbitError 'io' with the output of the process if it failed; 'cancelled' on abort
 */
export async function measureMemory(
  location: string,
  backend: string,
  signal?: AbortSignal,
): Promise<MemoryUse> {
  const script = join(__dirname, 'memory-child.js');
  try {
    const args = ['--expose-gc', script, location, backend];
    const { stdout } = await promisify(execFile)(process.execPath, args, { signal });
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as MemoryUse;
  } catch (cause) {
    throwIfCancelled(signal);
    const { stderr, message } = cause as { stderr?: string; message: string };
    throw new LowbitError('io', `Measuring the memory of ${location} failed: ${stderr?.trim() || message}`, {
      cause,
    });
  }
}
