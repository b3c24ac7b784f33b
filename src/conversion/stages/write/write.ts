/** Stage 6: packs experts and writes the converted model, completely or not at all. */
import { resolve } from 'node:path';
import { writeGraphModel } from '../../../graph/write-graph-model';
import type { ConvertReport } from '../../report-types';
import type { Destination, Settings } from '../../settings';
import type { ConvertedModel, SourceModel } from '../../stage-results';
import { withPackedExperts } from './experts';

/** @throws LowbitError 'io' if the folder cannot be written; 'cancelled' on abort */
export async function write(
  converted: ConvertedModel,
  source: SourceModel,
  { folder, overwrite, experts }: Destination,
  { report, signal }: Pick<Settings, 'report' | 'signal'>,
): Promise<ConvertReport> {
  const packed = withPackedExperts(converted, experts, report);
  const { graph, ...result } = packed?.converted ?? converted;
  report('write', 0, 1);
  const after = await writeGraphModel(graph, folder, { overwrite, signal, writeExperts: packed?.write });
  return {
    output: resolve(folder),
    ...result,
    bytes: { before: source.bytes, after },
    ...(packed && { experts: packed.report() }),
  };
}
