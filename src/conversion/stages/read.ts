/** Stage 1: reads the float model. */
import type { io } from '@tensorflow/tfjs-core';
import type { Graph } from '../../graph/ir';
import { modelBytes } from '../../graph/read-graph-model';
import { readModel, readModelArtifacts } from '../../graph/read-model';
import type { Settings } from '../settings';
import type { SourceModel } from '../stage-results';

/** @param location path or file URL of model.json */
export async function read(location: string, { report }: Pick<Settings, 'report'>): Promise<SourceModel> {
  report('read', 0, 1);
  return { graph: await readModel(location), bytes: await modelBytes(location) };
}

/** The same for a model in memory. */
export async function readArtifacts(
  artifacts: io.ModelArtifacts,
  { report }: Pick<Settings, 'report'>,
): Promise<Graph> {
  report('read', 0, 1);
  return readModelArtifacts(artifacts);
}
