/** How a converted model describes itself, in `userDefinedMetadata.lowbit` of its model.json. */
import { LowbitError } from '../base/errors';
import type { Graph } from './ir';

/** Version of what we write beside the standard graph model: `userDefinedMetadata.lowbit` and the region ops. */
export const ARTEFACT_FORMAT_VERSION = 1;

/** A node of the float graph after folding, and where it runs. */
export interface LayerRecord {
  readonly name: string;
  readonly op: string;
  /** The node whose result it stores, where others run as part of it. */
  readonly output?: string;
  /** int8, `dynamic int8`, int16 or float32. */
  readonly precision: string;
  readonly weightSignalToNoise?: number;
  readonly reason?: string;
  /** How its weights are stored, `int8` or the name of a low-bit format. */
  readonly weights?: string;
  /** Stored bits of a weight, scales counted. */
  readonly bitsPerWeight?: number;
  /** Inputs that share a scale, of low-bit weights; 0: all. */
  readonly group?: number;
  /** What rotates its input: `computed` by an op before it, or `folded` into the weights of other layers. */
  readonly rotation?: string;
  /** Why its weights stay in INT8 although low-bit ones were requested. */
  readonly weightsReason?: string;
  /** The node that stores its weights, where it is another one. */
  readonly storedBy?: string;
  /** Its result is that of the float model times this rotation. */
  readonly rotatedResult?: { readonly block: number; readonly seed: number };
}

export interface ArtefactMetadata {
  readonly formatVersion: number;
  readonly toolVersion: string;
  readonly scheme: string;
  readonly calibration: Readonly<Record<string, unknown>>;
  /** Channels were rescaled: what layers compute is not what they compute in the float model. */
  readonly equalized?: boolean;
  readonly layers: readonly LayerRecord[];
}

/**
 * @param location what messages call the model
 * @throws LowbitError 'invalid-model' for a model that this tool did not write, 'unsupported-version' for one that a
 *   newer version wrote
 */
export function artefactMetadata({ source }: Graph, location: string): ArtefactMetadata {
  const metadata = (source.userDefinedMetadata as { lowbit?: ArtefactMetadata } | undefined)?.lowbit;
  if (!metadata) {
    throw new LowbitError('invalid-model', `${location} was not converted by tfjs-lowbit.`);
  }
  if (metadata.formatVersion > ARTEFACT_FORMAT_VERSION) {
    throw new LowbitError(
      'unsupported-version',
      `${location} was written by tfjs-lowbit ${metadata.toolVersion}; install that version or a newer one.`,
    );
  }
  return metadata;
}
