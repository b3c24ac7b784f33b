/** Reads TF.js models, graph models and layers models alike, into the IR. */
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LowbitError } from '../base/errors';
import type { Graph } from './ir';
import { isRecord, type Json } from './json';
import { toPath } from './model-files';
import { parseModel } from './read-artifacts';
import { readWeights } from './read-weights';

/**
 * Reads model.json alone.
 *
 * @throws LowbitError 'io' if it cannot be read, 'invalid-model' if it is no JSON object
 */
export async function readModelJson(location: string): Promise<Json> {
  const path = toPath(location);
  const text = await readFile(path, 'utf8').catch((cause) => {
    throw new LowbitError('io', `Cannot read ${path}: ${(cause as Error).message}`, { cause });
  });
  let model: unknown;
  try {
    model = JSON.parse(text);
  } catch (cause) {
    throw new LowbitError('invalid-model', `${path} is not valid JSON: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (isRecord(model)) return model;
  throw new LowbitError('invalid-model', `${path} is not a TF.js model: expected a JSON object.`);
}

/**
 * Reads a model.
 *
 * @param location path or file URL of model.json
 * @param options.converted reads what this tool wrote, too
 * @returns the graph, in topological order, with every weight expanded to float32, int32, bool or string
 * @throws LowbitError 'io' if model.json cannot be read; 'invalid-model' or 'invalid-weights' naming the node, layer,
 *   weight or shard that is wrong; 'already-converted' for a model of this tool
 */
export async function readModel(location: string, options?: { converted?: boolean }): Promise<Graph> {
  const model = await readModelJson(location);
  const assemble = parseModel(model, options);
  return assemble(await readWeights(dirname(toPath(location)), model.weightsManifest));
}
