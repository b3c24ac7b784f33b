/** Runs a graph model to named tensors, whether TF.js can do so at once or not: control flow takes `executeAsync`. */
import type { GraphModel } from '@tensorflow/tfjs-converter';
import type * as tf from '@tensorflow/tfjs-core';

/** TF.js misses this op when it looks for what must run asynchronously. */
const MISSED = 'If';

export class GraphRunner {
  private asynchronous: boolean;

  /** @param ops of the model's nodes */
  constructor(
    readonly model: GraphModel,
    ops: Iterable<string>,
  ) {
    this.asynchronous = [...ops].includes(MISSED);
  }

  /** The tensors are the caller's to dispose. */
  async run(feeds: tf.NamedTensorMap, names: readonly string[]): Promise<tf.Tensor[]> {
    if (!this.asynchronous) {
      try {
        // TF.js adds the tables that it has opened to what it is fed.
        return [this.model.execute({ ...feeds }, [...names])].flat();
      } catch (error) {
        if (!String((error as Error).message).includes('executeAsync')) throw error;
        this.asynchronous = true;
      }
    }
    return [await this.model.executeAsync({ ...feeds }, [...names])].flat();
  }

  dispose(): void {
    this.model.dispose();
  }
}
