/** Adds the nodes that ops become to a graph: kernels, constants out of the program's weights, and stock ops on codes. */
import { attr } from '../../../graph/attrs';
import { type GraphEditor, output } from '../../../graph/edit';
import type { Constant, TensorRef } from '../../../graph/ir';
import type { Op, OpKind, TensorSpec } from '../../../program/program';
import type { Attrs } from './kernel-attrs';

const TABLE_ENTRIES = 256;

export type OpOf<Kind extends OpKind> = Extract<Op, { kind: Kind }>;

/** What the tensors of an op are: in the graph, and in the program. */
export interface Operands {
  readonly inputs: readonly TensorRef[];
  readonly specs: readonly TensorSpec[];
  readonly result: TensorSpec;
}

export class NodeEmitter {
  constructor(
    private readonly editor: GraphEditor,
    private readonly weights: Int32Array,
  ) {}

  node(name: string, op: string, inputs: readonly TensorRef[], attrs: Attrs): TensorRef {
    const free = this.editor.freeName(`${name}/${op}`);
    this.editor.setNode({ name: free, op, inputs, attrs });
    return output(free);
  }

  constant(
    name: string,
    values: Int32Array | Float32Array,
    shape: readonly number[] = [values.length],
  ): TensorRef {
    const dtype = values instanceof Float32Array ? 'float32' : 'int32';
    return this.editor.addConstant(name, { dtype, shape, values } as Constant);
  }

  /** A copy of the program's weights from an offset on. */
  words(offset: number, bytes: number): Int32Array {
    return this.weights.slice(offset / 4, offset / 4 + Math.ceil(bytes / 4));
  }

  floats(offset: number, count: number): Float32Array {
    return new Float32Array(this.words(offset, 4 * count).buffer);
  }

  codes(offset: number, count: number): Int32Array {
    return Int32Array.from(new Int8Array(this.words(offset, count).buffer, 0, count));
  }

  clampedCodes(name: string, codes: TensorRef, min: number, max: number): TensorRef {
    const bound = (value: number) => this.constant(`${name}/bound`, Int32Array.of(value), []);
    const type = { T: attr.dtype('int32') };
    const atLeast = this.node(name, 'Maximum', [codes, bound(min)], type);
    return this.node(name, 'Minimum', [atLeast, bound(max)], type);
  }

  /** A table over codes. */
  lookup(name: string, codes: TensorRef, tableOffset: number, entries: 'codes' | 'floats'): TensorRef {
    const values =
      entries === 'codes' ? this.codes(tableOffset, TABLE_ENTRIES) : this.floats(tableOffset, TABLE_ENTRIES);
    const table = this.constant(`${name}/table`, values);
    const half = this.constant(`${name}/offset`, Int32Array.of(TABLE_ENTRIES / 2), []);
    const axis = this.constant(`${name}/axis`, Int32Array.of(0), []);
    const index = this.node(name, 'AddV2', [codes, half], { T: attr.dtype('int32') });
    return this.node(name, 'GatherV2', [table, index, axis], {
      Tparams: attr.dtype(entries === 'floats' ? 'float32' : 'int32'),
      batch_dims: attr.int(0),
    });
  }
}
