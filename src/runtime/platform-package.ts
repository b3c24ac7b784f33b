/** Which package holds the native engine of this machine; scripts/platforms.js lists them all. */
import { closeSync, openSync, readSync } from 'node:fs';

/** Where the dynamic linker that a Linux program asks for is named. */
const HEAD_BYTES = 4096;

function runsOnMusl(): boolean {
  try {
    const file = openSync('/proc/self/exe', 'r');
    const head = Buffer.alloc(HEAD_BYTES);
    readSync(file, head, 0, HEAD_BYTES, 0);
    closeSync(file);
    const linker = /\/ld-(musl|linux)-/.exec(head.toString('latin1'));
    if (linker) return linker[1] === 'musl';
  } catch {
    // A sandbox without /proc.
  }
  try {
    const report = process.report?.getReport() as { header: { glibcVersionRuntime?: string } } | undefined;
    return report !== undefined && report.header.glibcVersionRuntime === undefined;
  } catch {
    // A sandbox (Deno's) that does not tell.
    return false;
  }
}

/** @returns the name of the package, or undefined where there is none for this platform */
export function platformPackage(): string | undefined {
  const { platform, arch } = process;
  if (!['linux', 'darwin', 'win32'].includes(platform) || !['x64', 'arm64'].includes(arch)) return undefined;
  return `@tfjs-lowbit/${platform}${platform === 'linux' && runsOnMusl() ? 'musl' : ''}-${arch}`;
}
