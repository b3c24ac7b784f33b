/** Reads TF.js models in memory into the IR. */
import type { Constant, Graph } from './ir';
import type { Json } from './json';
import type { ModelArtifacts } from './model-artifacts';
import { parseGraphModel } from './read-graph-model';
import { isLayersModel, parseLayersModel } from './read-layers-model';
import { decodeWeights } from './weights';

/**
 * Reads model.json of a graph model or a layers model.
 *
 * @param options.converted reads what this tool wrote, too
 * @returns makes the graph of it and its weights
 */
export function parseModel(
  model: Json,
  options?: { converted?: boolean },
): (weights: ReadonlyMap<string, Constant>) => Graph {
  return isLayersModel(model) ? parseLayersModel(model) : parseGraphModel(model, options);
}

async function weightParts({ weightData, getWeightStream }: ModelArtifacts): Promise<ArrayBuffer[]> {
  if (weightData !== undefined) return [weightData].flat();
  const parts: ArrayBuffer[] = [];
  if (getWeightStream) for await (const part of getWeightStream()) parts.push(part);
  return parts;
}

/** Reads a model in memory, as a save handler of TF.js gets it. */
export async function readModelArtifacts(artifacts: ModelArtifacts): Promise<Graph> {
  const { weightSpecs = [], weightData: _, getWeightStream: __, ...model } = artifacts;
  const assemble = parseModel(model as unknown as Json);
  const parts = (await weightParts(artifacts)).map((part) => new Uint8Array(part));
  return assemble(await decodeWeights(weightSpecs, parts));
}
