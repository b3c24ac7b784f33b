/**
 * The open experts of loaded models: a node refers to its mixture by the number `store`.
 *
 * Code that opens them reads files, so it is part of `tfjs-lowbit/moe` only; this file is part of every build.
 */
import type { io } from '@tensorflow/tfjs-core';
import { LowbitError } from '../base/errors';
import type { MixtureOfExperts, MixtureOptions } from './mixture';

/** How the experts of a converted model are held and routed; default: as the conversion configured. */
export interface ExpertSettings extends Partial<Omit<MixtureOptions, 'topK'>> {
  /** Where experts are read from, instead of the file beside the model. */
  readonly source?: MixtureOptions['source'];
  /** Read the file past the page cache of the operating system. Default false. */
  readonly direct?: boolean;
}

interface Open {
  readonly mixture: WeakRef<MixtureOfExperts>;
  /** Closed with the model that it was opened for. */
  readonly owned: boolean;
}

const open = new Map<number, Open>();
const collected = new FinalizationRegistry<number>((id) => open.delete(id));
let lastId = 0;

/**
 * @param owned closed with the model
 * @returns the `store` of the model's nodes, valid for as long as the mixture lives
 */
export function registerMixture(mixture: MixtureOfExperts, owned: boolean): number {
  const id = ++lastId;
  open.set(id, { mixture: new WeakRef(mixture), owned });
  collected.register(mixture, id);
  return id;
}

/**
 * The mixture that a node's `store` stands for.
 *
 * @throws LowbitError 'invalid-weights' if it is not open
 */
export function mixtureOf(store: unknown): MixtureOfExperts {
  const mixture = open.get(store as number)?.mixture.deref();
  if (mixture) return mixture;
  throw new LowbitError(
    'invalid-weights',
    'The experts of this model are not open; load it from its files, in Node.js: ' +
      "import 'tfjs-lowbit/moe', then tf.loadGraphModel(fileSystem('model.json')).",
  );
}

/** To be called when the weights of a node were disposed of with its model. */
export function closeWithModel(store: unknown): void {
  const entry = open.get(store as number);
  if (!entry?.owned) return;
  open.delete(store as number);
  entry.mixture
    .deref()
    ?.close()
    .catch(() => {});
}

type ExpertLoader = (
  artifacts: io.ModelArtifacts,
  folder: string,
  settings?: ExpertSettings,
) => Promise<io.ModelArtifacts>;

let loader: ExpertLoader | undefined;

/** Sets the function that opens the experts of loaded models. */
export function provideExpertLoader(load: ExpertLoader): void {
  loader = load;
}

/**
 * Opens the experts of artefacts; returns the same artefacts if there are none.
 *
 * @param folder of the model
 * @throws LowbitError 'engine-unavailable' if there are experts and `tfjs-lowbit/moe` was not imported; or as the
 *   loader
 */
export async function loadExperts(
  artifacts: io.ModelArtifacts,
  folder: string,
  settings?: ExpertSettings,
): Promise<io.ModelArtifacts> {
  const { lowbit } = (artifacts.userDefinedMetadata ?? {}) as { lowbit?: { experts?: unknown } };
  if (lowbit?.experts === undefined) return artifacts;
  if (loader !== undefined) return loader(artifacts, folder, settings);
  throw new LowbitError(
    'engine-unavailable',
    `The model in ${folder} has experts in a file of their own, which 'tfjs-lowbit' alone does not open; import ` +
      "'tfjs-lowbit/moe' before loading it.",
  );
}
