/** A file system with little room: mounted where that is permitted, which takes root on Linux. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  readonly folder: string;
  remove(): void;
}

/** @param bytes that fit, a multiple of 4096; folders and names take none of them */
export function mountSmallDisk(bytes: number): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), 'lowbit-small-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'none', folder], { stdio: 'pipe' });
  } catch (error) {
    rmdirSync(folder);
    throw error;
  }
  return {
    folder,
    remove() {
      execFileSync('umount', [folder]);
      rmdirSync(folder);
    },
  };
}

function canMount(): boolean {
  try {
    mountSmallDisk(4096).remove();
    return true;
  } catch {
    return false;
  }
}

/** `describe` for tests that need one: skipped with a notice where none can be mounted. */
export function describeWithSmallDisks(name: string, body: () => void): void {
  if (canMount()) describe(name, body);
  else describe.skip(`${name} (needs to mount a tmpfs, which is not permitted)`, body);
}
