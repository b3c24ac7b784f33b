/** The modules of the WebAssembly engine: which there are, which this host can run, and where they lie. */
import { checkArgument } from '../base/errors';
import type { DotForm, Isa } from './engine';
import { callSmallModule, validates } from './wasm-module';

export type WasmFileName = 'lowbit-plain.wasm' | 'lowbit-simd.wasm' | 'lowbit-relaxed.wasm';

export interface WasmFile {
  readonly isa: Isa;
  readonly name: WasmFileName;
  /** A small module that hosts refuse if they cannot run this one. */
  readonly probe: Uint8Array;
}

/** Of a function without parameters that returns a vector: `bytes` are its code. */
function vectorProbe(...bytes: number[]): Uint8Array {
  const code = [0, ...bytes, 0x0b];
  return Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0],
    ...[0x0a, code.length + 2, 1, code.length, ...code],
  );
}

/** i32.const 0, i8x16.splat */
const ZEROS = [0x41, 0, 0xfd, 0x0f];

/** i32x4.relaxed_dot_i8x16_i7x16_add_s */
const RELAXED_DOT = [0xfd, 0x93, 0x02];

/** Exports a function without parameters that returns an int32: `bytes` are its code. */
function integerFunction(...bytes: number[]): Uint8Array {
  const code = [0, ...bytes, 0x0b];
  return Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7f, 3, 2, 1, 0],
    ...[7, 5, 1, 1, 0x66, 0, 0, 0x0a, code.length + 2, 1, code.length, ...code],
  );
}

/** The form of this machine, of which the host has the instruction. */
export function dotForm(): DotForm {
  // Of 16 times -127 and 16 times 255, or -1, the first sum of four: i32.const -127, i8x16.splat, i32.const -1, ...
  const splats = [0x41, 0x81, 0x7f, 0xfd, 0x0f, 0x41, 0x7f, 0xfd, 0x0f, ...ZEROS];
  const sum = callSmallModule(integerFunction(...splats, ...RELAXED_DOT, 0xfd, 0x1b, 0));
  if (sum === 4 * 127) return 'signed';
  return sum === -4 * 127 * 255 ? 'unsigned' : 'saturating';
}

/** Slowest first. */
const FILES: readonly WasmFile[] = [
  { isa: 'wasm', name: 'lowbit-plain.wasm', probe: Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0) },
  // i8x16.popcnt
  { isa: 'wasmsimd', name: 'lowbit-simd.wasm', probe: vectorProbe(...ZEROS, 0xfd, 0x62) },
  {
    isa: 'wasmrelaxed',
    name: 'lowbit-relaxed.wasm',
    probe: vectorProbe(...ZEROS, ...ZEROS, ...ZEROS, ...RELAXED_DOT),
  },
];

/** Whether an instruction set is one of WebAssembly's. */
export function isWasmIsa(isa: Isa): boolean {
  return FILES.some((file) => file.isa === isa);
}

/** Those that this host can run, fastest last. */
export function supportedFiles(): readonly WasmFile[] {
  return FILES.filter(({ probe }) => validates(probe));
}

/**
 * @param isa default: the fastest
 * @param name what the caller calls `isa`
 * @throws LowbitError 'invalid-argument' for an instruction set that is not one of them
 */
export function chooseFile(files: readonly WasmFile[], isa: Isa | undefined, name: string): WasmFile {
  const chosen = isa === undefined ? files.at(-1) : files.find((file) => file.isa === isa);
  checkArgument(chosen !== undefined, name, `one of ${files.map((file) => file.isa).join(', ')}`, isa);
  return chosen;
}

/** A folder, or a file each; where a file is not named, its usual place. */
type WasmPaths = string | Readonly<Partial<Record<WasmFileName, string>>>;

let paths: WasmPaths = {};

/**
 * Sets where the WebAssembly engine finds its modules. Call it before the first prediction.
 *
 * @param prefixOrMap what comes before the name of each file, for example `'https://cdn.example.com/lowbit/'`; or the
 *   path or URL of each file by its name
 */
export function setWasmPaths(prefixOrMap: WasmPaths): void {
  const given = typeof prefixOrMap === 'string' || (typeof prefixOrMap === 'object' && prefixOrMap !== null);
  checkArgument(given, 'prefixOrMap', 'a string, or strings by the name of a file', prefixOrMap);
  for (const name of Object.keys(typeof prefixOrMap === 'string' ? {} : prefixOrMap)) {
    const known = FILES.map((file) => file.name);
    checkArgument(known.includes(name as WasmFileName), 'prefixOrMap', `only ${known.join(', ')}`, name);
  }
  paths = prefixOrMap;
}

/** Where the user said that a file lies. */
export function wasmPath(name: WasmFileName): string | undefined {
  return typeof paths === 'string' ? paths + name : paths[name];
}
