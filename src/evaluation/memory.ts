/** Memory that loading and running a model takes, measured in processes of its own. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { serialize } from 'node:v8';
import { throwIfCancelled } from '../base/cancelled';
import { LowbitError } from '../base/errors';
import { median } from '../base/median';
import type { Sample } from '../graph/ir';

/** What one process measures, in bytes. */
export interface MemoryGrowth {
  /** Growth of the resident set from before loading to after some predictions and a garbage collection. */
  readonly resident: number;
  /** The same to the highest point in between. */
  readonly peak: number;
}

/** Medians of several processes. */
export interface MemoryUse extends MemoryGrowth {
  /** How far `resident` may be off: processes differ by as much. Less than twice that is not shown. */
  readonly uncertainty: number;
}

export interface MemoryOptions {
  /** What the model is run on; default: made-up values, for a model whose inputs have a known size. */
  readonly sample?: Sample;
  /** How many processes measure. Default 3. */
  readonly repeats?: number;
  /** Ends the processes. */
  readonly signal?: AbortSignal;
}

/** Resident sets grow by pages that have nothing to do with the model: less than this is not seen. */
const MIN_UNCERTAINTY = 2 ** 19;

async function measureOnce(args: readonly string[], location: string, signal: AbortSignal | undefined) {
  const script = join(__dirname, 'memory-child.js');
  try {
    const command = ['--expose-gc', script, location, ...args];
    const { stdout } = await promisify(execFile)(process.execPath, command, { signal });
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as MemoryGrowth;
  } catch (cause) {
    throwIfCancelled(signal);
    const { stderr, message } = cause as { stderr?: string; message: string };
    throw new LowbitError('io', `Measuring the memory of ${location} failed: ${stderr?.trim() || message}`, {
      cause,
    });
  }
}

export function summarize(measured: readonly MemoryGrowth[]): MemoryUse {
  const residents = measured.map(({ resident }) => resident);
  const resident = median(residents);
  const farthest = Math.max(...residents.map((each) => Math.abs(each - resident)));
  return {
    resident,
    peak: median(measured.map(({ peak }) => peak)),
    uncertainty: Math.max(farthest, MIN_UNCERTAINTY),
  };
}

/** Whether growth is so large that its first digit is right. */
export function isMeasurable({ resident, uncertainty }: MemoryUse): boolean {
  return resident >= 2 * uncertainty;
}

/**
 * @param location model.json
 * @param backend TF.js backend that the model runs on
 * @throws LowbitError 'io' with the output of a process that failed; 'cancelled' on abort
 */
export async function measureMemory(
  location: string,
  backend: string,
  { sample, repeats = 3, signal }: MemoryOptions = {},
): Promise<MemoryUse> {
  const folder = await mkdtemp(join(tmpdir(), 'tfjs-lowbit-memory-'));
  try {
    const file = join(folder, 'sample');
    if (sample) await writeFile(file, serialize(sample));
    const args = [backend, ...(sample ? [file] : [])];
    const measured: MemoryGrowth[] = [];
    for (let i = 0; i < repeats; i++) measured.push(await measureOnce(args, location, signal));
    return summarize(measured);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
