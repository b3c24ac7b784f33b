/** How a converted model describes itself. */

import { withCode } from '../base/coded-errors';
import { type ArtefactMetadata, artefactMetadata, type LayerRecord } from '../graph/artefact';
import type { Graph } from '../graph/ir';
import { modelBytes } from '../graph/model-files';
import { readModel } from '../graph/read-model';
import { TensorType } from '../program/program';
import { tapProgram } from '../program/tap-program';
import { engineInfo } from '../runtime/current-engine';
import type { Engine } from '../runtime/engine';
import { tensorsOf } from './inspect';
import { findByName, regionProgram, regionsOf } from './layer-tensors';

export interface ConvertedLayer extends LayerRecord {
  /** Bits, real units per step and zero point of the result; absent where it is float32 or within another layer. */
  readonly result?: { readonly bits: number; readonly scale: number; readonly zeroPoint: number };
}

export interface ConvertedReport extends Pick<ArtefactMetadata, 'toolVersion' | 'scheme' | 'calibration'> {
  inputs: { name: string; dtype: string; shape?: readonly number[] }[];
  outputs: { name: string; dtype: string; shape?: readonly number[] }[];
  /** How many programs it has. */
  regions: number;
  /** Names of their nodes, for `inspectRegion`. */
  regionNames: string[];
  layers: ConvertedLayer[];
  fileBytes: number;
  /** What runs it on this machine. */
  engine: Engine['kind'];
  isa: string;
}

/** How the programs of a graph store the result of each op, by its name; the last of a name counts. */
function resultsOf(graph: Graph): Map<string, NonNullable<ConvertedLayer['result']>> {
  const taps = regionsOf(graph).flatMap((region) => tapProgram(regionProgram(graph, region).words).taps);
  const coded = taps.filter(({ type }) => type === TensorType.Int8 || type === TensorType.Int16);
  return new Map(
    coded.map(({ name, type, scale, zeroPoint }) => [
      name,
      { bits: type === TensorType.Int16 ? 16 : 8, scale, zeroPoint },
    ]),
  );
}

async function inspectArtefact(location: string): Promise<ConvertedReport> {
  const graph = await readModel(location, { converted: true });
  const { toolVersion, scheme, calibration, layers } = artefactMetadata(graph, location);
  const regions = regionsOf(graph);
  const records = layers.map((layer): ConvertedLayer => ({ ...layer }));
  const results = new Map<ConvertedLayer, ConvertedLayer['result']>();
  for (const [name, result] of resultsOf(graph)) {
    const record = findByName(records, name);
    if (record) results.set(record, result);
  }
  const { kind: engine, isa } = engineInfo();
  return {
    ...tensorsOf(graph),
    toolVersion,
    scheme,
    calibration,
    regions: regions.length,
    regionNames: regions.map(({ name }) => name),
    layers: records.map((record) => {
      const result = results.get(record);
      return result ? { ...record, result } : record;
    }),
    fileBytes: await modelBytes(location),
    engine,
    isa,
  };
}

/**
 * Reads a converted model: its scheme, where its scales come from, and how each layer is computed.
 *
 * @param location path or file URL of model.json
 * @throws LowbitError 'io', 'invalid-weights', 'invalid-model' for one that this tool did not write
 */
export async function inspectConverted(location: string): Promise<ConvertedReport> {
  return withCode(`Inspecting ${location}`, () => inspectArtefact(location));
}
