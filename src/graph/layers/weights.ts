/** Finds the weights of layers under the names that TF.js, Keras and their converters have given them. */
import type { Constant } from '../ir';

/**
 * Weights are named `layer/weight`, in Keras 3 after the models that the layer stands in (`model/nested/layer/weight`) or
 * by number (`layer/0`, in its files `layer/vars/0`), and those of a recurrent layer's cell `layer/cell/weight`.
 */
export class Weights {
  /** What names end with, where one alone ends so. */
  private readonly endings = new Map<string, Constant | undefined>();

  constructor(private readonly named: ReadonlyMap<string, Constant>) {
    for (const [name, constant] of named) {
      const parts = name.split('/').filter((part, i, all) => part !== 'vars' || i !== all.length - 2);
      for (const path of [parts, parts.toSpliced(-2, 1)]) {
        for (let from = 0; from < path.length - 1; from++) {
          const ending = path.slice(from).join('/');
          const known = this.endings.has(ending) && this.endings.get(ending) !== constant;
          this.endings.set(ending, known ? undefined : constant);
        }
      }
    }
  }

  /**
   * @param path names of the models that the layer stands in, the outermost first
   * @param position the weight's place among those of its layer
   */
  find(path: readonly string[], layer: string, name: string, position: number): Constant | undefined {
    for (let from = 0; from <= path.length; from++) {
      const owner = [...path.slice(from), layer].join('/');
      const found = this.named.get(`${owner}/${name}`) ?? this.named.get(`${owner}/${position}`);
      if (found) return found;
    }
    return this.endings.get(`${layer}/${name}`) ?? this.endings.get(`${layer}/${position}`);
  }
}
