/** What the headers of libraries for macOS and Windows tell, as far as tests ask. */
import { createHash } from 'node:crypto';

const text = (bytes: Buffer, at: number) => bytes.toString('latin1', at, bytes.indexOf(0, at));

/** Of a library for macOS: its load commands and what they lead to. */
export interface MachO {
  readonly arch: string;
  /** MH_BUNDLE is what `dlopen` takes and programs cannot link against. */
  readonly isBundle: boolean;
  /** The oldest macOS that it runs on, such as `11.0`. */
  readonly minimum: string | undefined;
  readonly libraries: string[];
  readonly exported: string[];
  /** Undefined symbols, by where they are looked for: a library's number, or 254 for everything that is loaded. */
  readonly undefined: { name: string; ordinal: number }[];
  /** Whether the signature is of nobody (ad hoc) and the hashes in it are those of the file's pages; none: undefined. */
  readonly adHocSignature: boolean | undefined;
}

const CPUS: Readonly<Record<number, string>> = { 16777223: 'x64', 16777228: 'arm64' };

/** @see cs_blobs.h of XNU; all numbers are big-endian */
function isSignedAdHoc(bytes: Buffer, start: number): boolean {
  const count = bytes.readUInt32BE(start + 8);
  const offsets = Array.from({ length: count }, (_, i) => start + bytes.readUInt32BE(start + 16 + 8 * i));
  const at = offsets.find((offset) => bytes.readUInt32BE(offset) === 0xfade0c02);
  if (bytes.readUInt32BE(start) !== 0xfade0cc0 || at === undefined) return false;
  const flags = bytes.readUInt32BE(at + 12);
  const hashes = at + bytes.readUInt32BE(at + 16);
  const pages = bytes.readUInt32BE(at + 28);
  const limit = bytes.readUInt32BE(at + 32);
  const [size, type] = [bytes[at + 36], bytes[at + 37]];
  const page = 2 ** bytes[at + 39];
  const isRight = (i: number) => {
    const content = bytes.subarray(i * page, Math.min((i + 1) * page, limit));
    const stored = bytes.subarray(hashes + i * size, hashes + (i + 1) * size);
    return createHash('sha256').update(content).digest().subarray(0, size).equals(stored);
  };
  const all = Array.from({ length: pages }, (_, i) => isRight(i));
  return (flags & 2) !== 0 && type === 2 && pages === Math.ceil(limit / page) && all.every(Boolean);
}

/** @see mach-o/loader.h */
export function readMachO(bytes: Buffer): MachO {
  if (bytes.readUInt32LE(0) !== 0xfeedfacf) throw new Error('This is no 64-bit Mach-O file.');
  const found = {
    arch: CPUS[bytes.readUInt32LE(4)],
    isBundle: bytes.readUInt32LE(12) === 8,
    minimum: undefined as string | undefined,
    libraries: [] as string[],
    exported: [] as string[],
    undefined: [] as { name: string; ordinal: number }[],
    adHocSignature: undefined as boolean | undefined,
  };
  let at = 32;
  for (let i = bytes.readUInt32LE(16); i > 0; i--) {
    const word = (index: number) => bytes.readUInt32LE(at + 4 * index);
    switch (word(0)) {
      case 0x02:
        readSymbols(bytes, word(2), word(3), word(4), found);
        break;
      case 0x0c:
        found.libraries.push(text(bytes, at + word(2)));
        break;
      case 0x1d:
        found.adHocSignature = isSignedAdHoc(bytes, word(2));
        break;
      case 0x32:
        found.minimum = `${word(3) >>> 16}.${(word(3) >>> 8) & 0xff}`;
        break;
    }
    at += word(1);
  }
  return found;
}

function readSymbols(
  bytes: Buffer,
  start: number,
  count: number,
  strings: number,
  found: Pick<MachO, 'exported' | 'undefined'>,
): void {
  for (let at = start; at < start + 16 * count; at += 16) {
    const type = bytes[at + 4];
    const name = text(bytes, strings + bytes.readUInt32LE(at));
    const [isStab, isPrivate, isExternal, kind] = [type & 0xe0, type & 0x10, type & 1, type & 0x0e];
    if (isStab || isPrivate || !isExternal) continue;
    if (kind === 0) found.undefined.push({ name, ordinal: bytes.readUInt16LE(at + 6) >> 8 });
    else found.exported.push(name);
  }
}

/** Of a library for Windows. */
export interface PortableExecutable {
  readonly arch: string;
  readonly isLibrary: boolean;
  readonly exported: string[];
  readonly libraries: string[];
}

const MACHINES: Readonly<Record<number, string>> = { 34404: 'x64', 43620: 'arm64' };

/** @see "PE Format" of Microsoft */
export function readPortableExecutable(bytes: Buffer): PortableExecutable {
  const head = bytes.readUInt32LE(0x3c);
  if (bytes.toString('latin1', head, head + 4) !== 'PE\0\0') throw new Error('This is no file of Windows.');
  const optional = head + 24;
  const sections = optional + bytes.readUInt16LE(head + 20);
  const sectionCount = bytes.readUInt16LE(head + 6);
  /** The place in the file of an address. */
  const place = (address: number) => {
    for (let at = sections; at < sections + 40 * sectionCount; at += 40) {
      const first = bytes.readUInt32LE(at + 12);
      if (address >= first && address < first + bytes.readUInt32LE(at + 16)) {
        return address - first + bytes.readUInt32LE(at + 20);
      }
    }
    throw new Error(`Address ${address} lies in no section.`);
  };
  const directory = (index: number) => bytes.readUInt32LE(optional + 112 + 8 * index);

  const exports = place(directory(0));
  const names = place(bytes.readUInt32LE(exports + 32));
  const exported = Array.from({ length: bytes.readUInt32LE(exports + 24) }, (_, i) =>
    text(bytes, place(bytes.readUInt32LE(names + 4 * i))),
  );
  const libraries: string[] = [];
  for (let at = place(directory(1)); bytes.readUInt32LE(at + 12) !== 0; at += 20) {
    libraries.push(text(bytes, place(bytes.readUInt32LE(at + 12))));
  }
  return {
    arch: MACHINES[bytes.readUInt16LE(head + 4)],
    isLibrary: (bytes.readUInt16LE(head + 22) & 0x2000) !== 0,
    exported,
    libraries,
  };
}
