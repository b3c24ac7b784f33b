/**
 * Routing traces: the router's logits of every token and layer, as a model produced them.
 *
 * ```
 * 'LBMT'  uint32 version  uint32 bytes of the header  header, JSON, padded with spaces to a multiple of 4
 * float32 logits [tokens, layers, experts], little-endian
 * ```
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { LowbitError } from '../base/errors';
import * as z from '../vendor/zod';

const MAGIC = 0x544d424c;
const VERSION = 1;
const PREFIX_BYTES = 12;

interface TraceHeader {
  tokens: number;
  layers: number;
  experts: number;
  topK: number;
  /** A description of the routed data. */
  source?: string;
}

const header: z.ZodType<TraceHeader> = z.object({
  tokens: z.int().nonnegative(),
  layers: z.int().positive(),
  experts: z.int().min(2),
  topK: z.int().positive(),
  source: z.string().optional(),
});

export interface RoutingTrace extends TraceHeader {
  /** [tokens, layers, experts]. */
  readonly logits: Float32Array;
}

/** Writes a trace beside its path, then renames it. */
export async function writeTrace(path: string, { logits, ...fields }: RoutingTrace): Promise<void> {
  const json = Buffer.from(JSON.stringify(fields));
  const text = Buffer.concat([json, Buffer.alloc(-json.length & 3, ' ')]);
  const prefix = Buffer.alloc(PREFIX_BYTES);
  [MAGIC, VERSION, text.length].forEach((word, i) => {
    prefix.writeUInt32LE(word, 4 * i);
  });
  const body = Buffer.from(logits.buffer, logits.byteOffset, logits.byteLength);
  const partial = `${path}.partial`;
  try {
    await writeFile(partial, Buffer.concat([prefix, text, body]));
    await rename(partial, path);
  } catch (cause) {
    await rm(partial, { force: true });
    throw new LowbitError('io', `Cannot write the trace ${path}: ${(cause as Error).message}`, { cause });
  }
}

/**
 * @throws LowbitError 'io' if the file cannot be read, 'invalid-argument' if it is no whole trace,
 *   'unsupported-version' if a later version wrote it
 */
export async function readTrace(path: string): Promise<RoutingTrace> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new LowbitError('io', `Cannot read the trace ${path}: ${(cause as Error).message}`, { cause });
  }
  const refuse = (what: string): never => {
    throw new LowbitError('invalid-argument', `${path} is no routing trace: ${what}. Record it again.`);
  };
  if (bytes.length < PREFIX_BYTES || bytes.readUInt32LE(0) !== MAGIC) refuse('it does not start with LBMT');
  const version = bytes.readUInt32LE(4);
  if (version > VERSION) {
    throw new LowbitError(
      'unsupported-version',
      `The trace ${path} has version ${version}, this one reads up to ${VERSION}; install a newer tfjs-lowbit.`,
    );
  }
  const start = PREFIX_BYTES + bytes.readUInt32LE(8);
  if (start > bytes.length) refuse('it ends within its header');
  let fields: TraceHeader;
  try {
    fields = header.parse(JSON.parse(bytes.toString('utf8', PREFIX_BYTES, start)));
  } catch {
    return refuse('its header is damaged');
  }
  const { tokens, layers, experts, topK } = fields;
  if (tokens === 0) refuse('it has no tokens');
  if (topK > experts) refuse(`it picks ${topK} of ${experts} experts`);
  const count = tokens * layers * experts;
  if (bytes.length - start !== 4 * count) {
    refuse(`it has ${bytes.length - start} bytes of logits instead of ${4 * count}`);
  }
  const logits = new Float32Array(
    bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.length),
  );
  return { ...fields, logits };
}
