/** Loads TF.js models from files in Node.js, where tfjs-core alone knows HTTP only. */
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { LowbitError } from '../base/errors';
import { ARTEFACT_FORMAT_VERSION } from '../graph/artefact';
import { toPath } from '../graph/model-files';
import { listShards } from '../graph/read-weights';
import { type ExpertSettings, loadExperts } from '../moe/open-experts';
import { withWeights } from './held-artifacts';

function checkArtefactVersion(path: string, model: Record<string, unknown>): void {
  const metadata = model.userDefinedMetadata as
    | { lowbit?: { formatVersion?: unknown; toolVersion?: unknown } }
    | undefined;
  const version = metadata?.lowbit?.formatVersion;
  if (typeof version !== 'number' || version <= ARTEFACT_FORMAT_VERSION) return;
  throw new LowbitError(
    'unsupported-version',
    `${path} was written by tfjs-lowbit ${metadata?.lowbit?.toolVersion ?? '(unknown version)'} in format version ${version}; this ` +
      `version reads up to ${ARTEFACT_FORMAT_VERSION}. Install a newer tfjs-lowbit, or convert the model again with this one.`,
  );
}

export interface FileSystemOptions {
  /** Of a model with a mixture of experts (needs `tfjs-lowbit/moe`): how much memory they take, how they are routed. */
  readonly experts?: ExpertSettings;
}

async function loadArtifacts(
  location: string,
  { experts }: FileSystemOptions,
): Promise<tf.io.ModelArtifacts> {
  const path = toPath(location);
  let model: Record<string, unknown>;
  try {
    model = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    const code = cause instanceof SyntaxError ? 'invalid-model' : 'io';
    throw new LowbitError(code, `Cannot read the model ${path}: ${(cause as Error).message}`, { cause });
  }
  if (model === null || typeof model !== 'object' || model.modelTopology == null) {
    throw new LowbitError('invalid-model', `${path} has no 'modelTopology': it is not a TF.js model.`);
  }
  checkArtefactVersion(path, model);
  const { weightsManifest, ...artifacts } = model;
  const groups = (weightsManifest ?? []) as tf.io.WeightsManifestConfig;
  const shards = await listShards(dirname(path), groups);
  const specs = groups.flatMap((group) => group.weights);
  const opened = await loadExperts(artifacts as tf.io.ModelArtifacts, dirname(path), experts);
  return withWeights(opened, specs, shards);
}

/**
 * A load handler for a model in the file system: `tf.loadGraphModel(fileSystem('model/model.json'))`.
 *
 * @param location path or `file://` URL of model.json
 * @throws LowbitError (from `load`) 'io', 'invalid-model', 'invalid-weights' or 'unsupported-version'; 'invalid-argument'
 *   for settings of experts out of range
 */
export function fileSystem(location: string, options: FileSystemOptions = {}): tf.io.IOHandler {
  return { load: () => loadArtifacts(location, options) };
}

/** Makes `tf.loadGraphModel('file://...')` work, unless tfjs-node, which brings a handler of its own, is loaded. */
export function registerFileSystemRouter(io: Pick<typeof tf.io, 'registerLoadRouter'> = tf.io): void {
  io.registerLoadRouter((url) =>
    typeof url === 'string' && url.startsWith('file://') && tf.findBackendFactory('tensorflow') == null
      ? fileSystem(url)
      : (null as unknown as tf.io.IOHandler),
  );
}
