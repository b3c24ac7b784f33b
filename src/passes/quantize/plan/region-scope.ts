import { output, refKey } from '../../../graph/edit';
import type { Graph, GraphNode, TensorRef } from '../../../graph/ir';
import type { ActivationPrecision, Quantizable } from '../match/quantizable';
import type { Candidates } from './candidates';
import { findFloatChains } from './float-chains';
import { regionOutputs } from './outline';

/** The nodes of one region, and what each tensor is to the region. */
export class RegionScope {
  readonly outputs: readonly TensorRef[];
  /** What each node is in the program. */
  readonly candidates: Candidates;
  private readonly leaving: ReadonlySet<string>;
  private readonly inside: ReadonlySet<string>;

  /**
   * @param nodes in topological order
   * @param precisions of the nodes with float32 input and output, by name
   */
  constructor(
    readonly graph: Graph,
    readonly nodes: readonly GraphNode[],
    matched: Candidates,
    readonly precisions: ReadonlyMap<string, ActivationPrecision>,
  ) {
    this.outputs = regionOutputs(graph, nodes).map((n) => output(n.name));
    this.leaving = new Set(this.outputs.map(refKey));
    this.inside = new Set(nodes.map((n) => n.name));
    const chains = findFloatChains(nodes, matched, (name) => precisions.has(name), this.leaving);
    this.candidates = new Map([...matched, ...chains]);
  }

  contains({ node }: TensorRef): boolean {
    return this.inside.has(node);
  }

  /** Whether a tensor is read outside the region. */
  leaves(ref: TensorRef): boolean {
    return this.leaving.has(refKey(ref));
  }

  isFloatInOut({ node }: TensorRef): boolean {
    return this.precisions.has(node);
  }

  /** The node of the region that computes a tensor. */
  quantizable({ node }: TensorRef): Quantizable {
    return this.candidates.get(node)!;
  }
}
