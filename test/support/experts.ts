import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExpertBytes, writeContainer } from '../../src/moe/store/container';
import { fileSource } from '../../src/moe/store/file-source';
import type { ExpertSource } from '../../src/moe/store/source';

/** Bytes that tell which expert they are of. */
export function expertBytes(layer: number, expert: number, precision = 0): Uint8Array {
  const length = 9000 + 13 * layer + 7 * expert;
  return Uint8Array.from({ length }, (_, i) => i * (layer + 3) + expert * 17 + precision);
}

export function* everyExpert(layers: number, experts: number, precisions = 1): Generator<ExpertBytes> {
  for (let layer = 0; layer < layers; layer++) {
    for (let expert = 0; expert < experts; expert++) {
      for (let precision = 0; precision < precisions; precision++) {
        yield { layer, expert, precision, bytes: expertBytes(layer, expert, precision) };
      }
    }
  }
}

export interface ExpertFolder {
  readonly folder: string;
  /** A container of `layers` x `experts`, precisions `int8` and `uniform2`. */
  readonly path: string;
  remove(): Promise<void>;
}

export async function makeExperts(layers = 2, experts = 4): Promise<ExpertFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'lowbit-experts-'));
  const path = join(folder, 'experts.lbme');
  const precisions = [
    { name: 'int8', layout: { rows: 3 } },
    { name: 'uniform2', layout: { rows: 3 } },
  ];
  await writeContainer(path, { layers, experts, precisions }, everyExpert(layers, experts, 2));
  return { folder, path, remove: () => rm(folder, { recursive: true }) };
}

/** A container that is read past the page cache; undefined where the file system cannot, and says so. */
export async function openDirect(path: string): Promise<ExpertSource | undefined> {
  try {
    return await fileSource(path, { direct: true });
  } catch (error) {
    expect((error as Error).message).toContain('does not read past the page cache');
    return undefined;
  }
}
