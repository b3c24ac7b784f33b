/** The networks with random weights, by name. */
import * as tf from '@tensorflow/tfjs-core';
import type { DenseTensor, Graph } from '../../src/graph/ir';
import { importBackend, withBackend } from '../../src/tfjs/backends';
import { NetworkBuilder } from './builder';
import { mobilenetV1 } from './mobilenet-v1';
import { mobilenetV2 } from './mobilenet-v2';
import { pictures } from './pictures';
import { Random } from './random';
import { resnet50 } from './resnet-50';

const SEED = 20;
const NORMALIZED_ON = 8;
const SIZE = 224;

const NETWORKS: Readonly<Record<string, (build: NetworkBuilder) => Graph>> = {
  mobilenet_v2: mobilenetV2,
  mobilenet_v1: mobilenetV1,
  resnet50,
};

export const GENERATED = Object.keys(NETWORKS);

/** @returns pictures of the size that the generated networks take; different ones for different seeds */
export function networkPictures(seed: number, count: number): DenseTensor {
  return pictures(seed, count, SIZE);
}

/** The same network every time. */
export async function generateNetwork(name: string): Promise<Graph> {
  return withBackend(await importBackend(), async () => {
    let graph: Graph | undefined;
    tf.tidy(() => {
      graph = NETWORKS[name](new NetworkBuilder(new Random(SEED), networkPictures(SEED, NORMALIZED_ON)));
    });
    return graph!;
  });
}
