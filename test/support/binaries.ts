/** What the headers of libraries for macOS and Windows tell, as far as tests ask. */
import { createHash } from 'node:crypto';

const text = (bytes: Buffer, at: number) => bytes.toString('latin1', at, bytes.indexOf(0, at));

interface Bound {
  readonly name: string;
  readonly ordinal: number;
}

/** Of a library for macOS: its load commands and what they lead to. */
export interface MachO {
  readonly arch: string;
  /** The oldest macOS that it runs on, such as `11.0`. */
  readonly minimum: string | undefined;
  readonly libraries: string[];
  readonly exported: string[];
  /** Symbols of others, and where they are looked for: a library's number, or -2 for everything that is loaded. */
  readonly bound: Bound[];
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
    minimum: undefined as string | undefined,
    libraries: [] as string[],
    exported: [] as string[],
    bound: [] as Bound[],
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
      case 0x80000022:
        found.bound.push(...readBindings(bytes, word(4), word(5)), ...readBindings(bytes, word(8), word(9)));
        break;
      case 0x32:
        found.minimum = `${word(3) >>> 16}.${(word(3) >>> 8) & 0xff}`;
        break;
    }
    at += word(1);
  }
  return found;
}

/** What the opcodes for the dynamic linker bind. @see BIND_OPCODE_* of mach-o/loader.h */
function readBindings(bytes: Buffer, start: number, size: number): Bound[] {
  const bound: Bound[] = [];
  let [at, name, ordinal] = [start, '', 0];
  const skipNumber = () => {
    while (bytes[at++] & 0x80);
  };
  while (at < start + size) {
    const [opcode, immediate] = [bytes[at] & 0xf0, bytes[at] & 0x0f];
    at++;
    if (opcode === 0x10) ordinal = immediate;
    // Sign-extended.
    else if (opcode === 0x30) ordinal = immediate === 0 ? 0 : immediate - 16;
    else if (opcode === 0x40) {
      name = text(bytes, at);
      at += name.length + 1;
    } else if ([0x20, 0x60, 0x70, 0x80, 0xa0].includes(opcode)) skipNumber();
    else if (opcode === 0xc0) {
      skipNumber();
      skipNumber();
    }
    if (opcode >= 0x90) bound.push({ name, ordinal });
  }
  return bound;
}

function readSymbols(
  bytes: Buffer,
  start: number,
  count: number,
  strings: number,
  found: Pick<MachO, 'exported'>,
): void {
  for (let at = start; at < start + 16 * count; at += 16) {
    const type = bytes[at + 4];
    const name = text(bytes, strings + bytes.readUInt32LE(at));
    const [isStab, isPrivate, isExternal, kind] = [type & 0xe0, type & 0x10, type & 1, type & 0x0e];
    if (!isStab && !isPrivate && isExternal && kind !== 0) found.exported.push(name);
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
