/**
 * Ranges of tensors that were not observed.
 *
 * Calibration observes what a plan stores. Another plan of the same graph, with float32 input and output for some nodes,
 * may store what the first one skips: tensors in the middle of a chain of functions, as the tanh of a Mish. These are
 * functions of a tensor that was observed, and their range is that of the function over the observed range. What only
 * arranges values anew, as a reshape between two products, has the range of what it reads.
 */
import { constantOf, refKey } from '../../../graph/edit';
import type { Shapes } from '../../../graph/infer-shapes';
import type { Graph, GraphNode, TensorRef } from '../../../graph/ir';
import type { Range } from '../../../quantization/affine';
import { matchNode } from '../match/match-node';
import { arithmetic } from '../match/pointwise';
import { RENAMES } from '../match/reshape';
import { type Chain, extendChains, IDENTITY } from './pointwise-chains';

/** Ops whose results are values of their first input, in another order or some of them. */
const ARRANGING = new Set([...RENAMES, 'Identity', 'Transpose', 'Slice', 'StridedSlice', 'Tile']);

/** Points at which a function is looked at: its extremes may lie in the middle. */
const POINTS = 1024;

function extremes(values: readonly number[]): Range | undefined {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return undefined;
  return {
    min: finite.reduce((least, v) => Math.min(least, v), Number.POSITIVE_INFINITY),
    max: finite.reduce((most, v) => Math.max(most, v), Number.NEGATIVE_INFINITY),
  };
}

function rangeOfFunction(f: (x: number) => number, { min, max }: Range): Range | undefined {
  const points = Array.from({ length: POINTS + 1 }, (_, i) => min + ((max - min) * i) / POINTS);
  if (min < 0 && max > 0) points.push(0);
  return extremes(points.map(f));
}

/** The range of every tensor of a graph whose range is known, or follows from those that are. */
export class Ranges {
  private readonly derived = new Map<string, Range | undefined>();
  private readonly chains = new Map<string, readonly Chain[]>();

  constructor(
    readonly graph: Graph,
    readonly shapes: Shapes,
    private readonly observed: ReadonlyMap<string, Range>,
  ) {}

  of(ref: TensorRef): Range | undefined {
    const key = refKey(ref);
    const known = this.observed.get(key) ?? this.derived.get(key);
    if (known || this.derived.has(key)) return known;
    const range = this.derive(ref);
    this.derived.set(key, range);
    return range;
  }

  private derive(ref: TensorRef): Range | undefined {
    const [chain] = this.endingIn(ref);
    const root = chain && this.observed.get(refKey(chain.root));
    if (root) return rangeOfFunction(chain.f, root);
    const node = this.graph.nodes.get(ref.node);
    if (node && ARRANGING.has(node.op)) return this.of(node.inputs[0]);
    return node && ref.index === 0 ? (this.ofArithmetic(node) ?? this.ofFunction(node)) : undefined;
  }

  /** Of two tensors that share no root: at the corners of their ranges. */
  private ofArithmetic(node: GraphNode): Range | undefined {
    const f = arithmetic(node);
    const [a, b] = node.inputs.map((input) => this.ofOperand(input));
    if (!f || !a || !b) return undefined;
    return extremes([a.min, a.max].flatMap((x) => [f(x, b.min), f(x, b.max)]));
  }

  /** Of a function of a tensor whose range follows from others, though it is no function of a single one. */
  private ofFunction(node: GraphNode): Range | undefined {
    const matched = matchNode(node, this, 'float32');
    if (typeof matched === 'string') return undefined;
    const [chain] = extendChains(node, matched, (read) => [{ root: read, f: IDENTITY }]);
    const range = chain && this.of(chain.root);
    return range && rangeOfFunction(chain.f, range);
  }

  private ofOperand(ref: TensorRef): Range | undefined {
    const constant = constantOf(this.graph, ref);
    return constant ? extremes(Array.from(constant.values)) : this.of(ref);
  }

  /** What a tensor is a function of: the nearest tensor that was observed. */
  private endingIn(ref: TensorRef): readonly Chain[] {
    const key = refKey(ref);
    if (this.observed.has(key)) return [{ root: ref, f: IDENTITY }];
    const known = this.chains.get(key);
    if (known) return known;
    const node = this.graph.nodes.get(ref.node);
    const matched = node && ref.index === 0 ? matchNode(node, this, 'float32') : 'it has no form';
    const chains =
      node && typeof matched !== 'string' ? extendChains(node, matched, (read) => this.endingIn(read)) : [];
    this.chains.set(key, chains);
    return chains;
  }
}
