/** Stage 1: reads the float model. */
import { modelBytes } from '../../graph/model-files';
import { readModel } from '../../graph/read-model';
import type { Settings } from '../settings';
import type { SourceModel } from '../stage-results';

/** @param location path or file URL of model.json */
export async function read(location: string, { report }: Pick<Settings, 'report'>): Promise<SourceModel> {
  report('read', 0, 1);
  return { graph: await readModel(location), bytes: await modelBytes(location) };
}
