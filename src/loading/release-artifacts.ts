import type { GraphModel } from '@tensorflow/tfjs-converter';
import type { io } from '@tensorflow/tfjs-core';

/**
 * Drops the copy of the weight file that a GraphModel keeps for `model.save()`, which then no longer works: as many
 * bytes as the shards.
 */
export function releaseArtifacts(model: GraphModel): void {
  const { artifacts } = model as unknown as { artifacts?: io.ModelArtifacts };
  if (artifacts !== undefined) artifacts.weightData = undefined;
}
