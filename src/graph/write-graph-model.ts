/** Writes the IR as a TF.js graph model: model.json and shards. */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { LowbitError } from '../base/errors';
import { layOut, shards, totalBytes } from './encode-graph-model';
import type { Graph } from './ir';
import { EXPERTS_FILE } from './mixture';

async function isOurs(path: string): Promise<boolean> {
  try {
    return JSON.parse(await readFile(path, 'utf8')).userDefinedMetadata?.lowbit !== undefined;
  } catch {
    return false;
  }
}

/** Only a folder that holds a model and nothing else may be replaced: other files in it are the user's. */
async function checkReplaceable(folder: string, overwrite: boolean): Promise<boolean> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new LowbitError('io', `Cannot write to ${folder}: ${error.message}`, { cause: error });
  });
  if (!names) return false;
  if (names.length === 0) return true;
  const other = names.find((n) => n !== 'model.json' && n !== EXPERTS_FILE && !n.endsWith('.bin'));
  if (other || !names.includes('model.json')) {
    throw new LowbitError(
      'io',
      `The output folder ${folder} holds other files (${other ?? names[0]}); choose a new folder, or an older output.`,
    );
  }
  if (!overwrite && !(await isOurs(join(folder, 'model.json')))) {
    throw new LowbitError(
      'io',
      `The output folder ${folder} holds a model that tfjs-lowbit did not write; choose another folder or allow overwriting.`,
    );
  }
  return true;
}

function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new LowbitError('cancelled', 'Writing the model was cancelled; nothing was left behind.');
}

interface WriteOptions {
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
  /** Writes the experts of the model, if it has any, to a file. */
  readonly writeExperts?: (path: string) => Promise<void>;
}

async function writeFiles(
  graph: Graph,
  folder: string,
  { signal, writeExperts }: WriteOptions,
): Promise<number> {
  const { weights, paths, model } = layOut(graph);
  let written = 0;
  for (const shard of shards(weights)) {
    checkAborted(signal);
    await writeFile(join(folder, paths[written++]), shard);
  }
  await writeFile(join(folder, 'model.json'), model);
  const experts = join(folder, EXPERTS_FILE);
  await writeExperts?.(experts);
  checkAborted(signal);
  return totalBytes(weights) + model.length + (writeExperts ? (await stat(experts)).size : 0);
}

/** Puts a finished folder in the place of another; the old one is deleted only once the new one is there. */
async function swap(finished: string, target: string): Promise<void> {
  const old = `${finished}.old`;
  await rename(target, old);
  try {
    await rename(finished, target);
  } catch (error) {
    await rename(old, target);
    throw error;
  }
  await rm(old, { recursive: true });
}

/**
 * Checks that `writeGraphModel` may write to a folder, so that a conversion can refuse before its work.
 *
 * @throws LowbitError 'io' if the folder holds anything but a model of ours (with `overwrite`: any model)
 */
export async function checkOutputFolder(folder: string, overwrite: boolean): Promise<void> {
  await checkReplaceable(resolve(folder), overwrite);
}

/**
 * Writes a graph model. The folder appears complete or not at all.
 *
 * @param folder created, or replaced when it holds a model of ours (with `overwrite`: any model) and nothing else
 * @returns bytes written
 * @throws LowbitError 'io' if it cannot be written, 'cancelled' on abort; neither leaves anything behind
 */
export async function writeGraphModel(
  graph: Graph,
  folder: string,
  options: WriteOptions = {},
): Promise<number> {
  const target = resolve(folder);
  const exists = await checkReplaceable(target, options.overwrite ?? false);
  await mkdir(dirname(target), { recursive: true });
  const temporary = join(dirname(target), `.${basename(target)}-${randomUUID()}`);
  try {
    await mkdir(temporary);
    const bytes = await writeFiles(graph, temporary, options);
    if (exists) await swap(temporary, target);
    else await rename(temporary, target);
    return bytes;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (error instanceof LowbitError) throw error;
    throw new LowbitError('io', `Cannot write ${target}: ${(error as Error).message}`, { cause: error });
  }
}
