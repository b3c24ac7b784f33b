/** Reads TF.js models, graph models and layers models alike, into the IR. */
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LowbitError } from '../base/errors';
import type { Constant, Graph } from './ir';
import { isRecord, type Json } from './json';
import type { ModelArtifacts } from './model-artifacts';
import { parseGraphModel, toPath } from './read-graph-model';
import { isLayersModel, parseLayersModel } from './read-layers-model';
import { decodeWeights, readWeights } from './read-weights';

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

function parse(
  model: Json,
  options?: { converted?: boolean },
): (weights: ReadonlyMap<string, Constant>) => Graph {
  return isLayersModel(model) ? parseLayersModel(model) : parseGraphModel(model, options);
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
  const assemble = parse(model, options);
  return assemble(await readWeights(dirname(toPath(location)), model.weightsManifest));
}

async function weightParts({ weightData, getWeightStream }: ModelArtifacts): Promise<ArrayBuffer[]> {
  if (weightData !== undefined) return [weightData].flat();
  const parts: ArrayBuffer[] = [];
  if (getWeightStream) for await (const part of getWeightStream()) parts.push(part);
  return parts;
}

/** The same for a model in memory, as a save handler of TF.js gets it. */
export async function readModelArtifacts(artifacts: ModelArtifacts): Promise<Graph> {
  const { weightSpecs = [], weightData: _, getWeightStream: __, ...model } = artifacts;
  const assemble = parse(model as unknown as Json);
  const parts = (await weightParts(artifacts)).map((part) => new Uint8Array(part));
  return assemble(await decodeWeights(weightSpecs, parts));
}
