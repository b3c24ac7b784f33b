/** Where a model lies, and what it takes there. */
import { statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EXPERTS_FILE } from './mixture';

/** The path behind a `file://` URL or a path; for a folder, that of the model.json in it. */
export function toPath(location: string): string {
  const path = location.startsWith('file://') ? fileURLToPath(location) : resolve(location);
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ? join(path, 'model.json') : path;
}

/** Bytes of a model on disk: model.json and the shards that it lists. */
export async function modelBytes(location: string): Promise<number> {
  const path = toPath(location);
  const text = await readFile(path, 'utf8');
  const { weightsManifest, userDefinedMetadata } = JSON.parse(text);
  const paths = (weightsManifest as { paths: string[] }[]).flatMap((group) => group.paths);
  const experts = userDefinedMetadata?.lowbit?.experts === undefined ? [] : [EXPERTS_FILE];
  const shards = [...paths, ...experts].map((shard) => stat(join(dirname(path), shard)));
  const sizes = (await Promise.all(shards)).map((info) => info.size);
  return sizes.reduce((sum, size) => sum + size, Buffer.byteLength(text));
}
