/** Runs a graph model to named tensors, whether TF.js can do so at once or not: control flow takes `executeAsync`. */
import type { GraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';

/** TF.js misses this op when it looks for what must run asynchronously. */
const MISSED = 'If';

/** Loops of functions: TF.js disposes what they write into lists, unless it keeps all tensors until the end. */
const LOOPS: ReadonlySet<string> = new Set(['While', 'StatelessWhile']);
const KEEP = 'KEEP_INTERMEDIATE_TENSORS';

/** Without the warning that TF.js gives where the flag is set by its name. */
function setQuietly(keep: boolean): void {
  tf.env().setFlags({ ...tf.env().getFlags(), [KEEP]: keep });
}

export class GraphRunner {
  private asynchronous: boolean;
  private readonly keeping: boolean;

  /** @param ops of the model's nodes */
  constructor(
    readonly model: GraphModel,
    ops: Iterable<string>,
  ) {
    const all = new Set(ops);
    this.asynchronous = all.has(MISSED);
    this.keeping = [...all].some((op) => LOOPS.has(op)) && [...all].some((op) => op.startsWith('TensorList'));
  }

  /** The tensors are the caller's to dispose, those too that are weights of the model. */
  async run(feeds: tf.NamedTensorMap, names: readonly string[]): Promise<tf.Tensor[]> {
    // TF.js takes no names for all outputs.
    if (names.length === 0) return [];
    const weights = new Set(Object.values(this.model.weights).flat());
    const results = await this.compute(feeds, names);
    return results.map((tensor) => (weights.has(tensor) ? tensor.clone() : tensor));
  }

  private async compute(feeds: tf.NamedTensorMap, names: readonly string[]): Promise<tf.Tensor[]> {
    if (!this.asynchronous) {
      try {
        // TF.js adds the tables that it has opened to what it is fed.
        return [this.model.execute({ ...feeds }, [...names])].flat();
      } catch (error) {
        if (!String((error as Error).message).includes('executeAsync')) throw error;
        this.asynchronous = true;
      }
    }
    const run = async () => [await this.model.executeAsync({ ...feeds }, [...names])].flat();
    return this.keeping ? this.withoutDisposal(run) : run();
  }

  private async withoutDisposal<T>(body: () => Promise<T>): Promise<T> {
    const before = tf.env().getBool(KEEP);
    setQuietly(true);
    try {
      return await body();
    } finally {
      setQuietly(before);
      this.model.disposeIntermediateTensors();
    }
  }

  dispose(): void {
    this.model.dispose();
  }
}
