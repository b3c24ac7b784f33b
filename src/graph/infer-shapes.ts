/**
 * Static shapes of a graph's tensors, from the inputs' shapes and the constants. Small tensors that hold shapes
 * (Shape -> StridedSlice -> Pack -> Reshape) are followed by value. -1: known only at run time; undefined: unknown rank.
 */
import { shapesAttr } from './attrs';
import { refKey } from './edit';
import type { Constant, Graph, GraphNode, TensorRef } from './ir';
import { inferLists, sameList } from './shapes/control-flow';
import { constantsOf, invalid, type Known, type Shape, valuesOf } from './shapes/known';
import { knownElements, MANY_RULES, RULES } from './shapes/rules';
import { inferValues } from './shapes/values';

export type { Shape } from './shapes/known';
export type Shapes = ReadonlyMap<string, Shape | undefined>;

/** Turns of a loop after which nothing more is presumed of what it carries. */
const MAX_TURNS = 8;

function outputShapes(node: GraphNode, known: Known): readonly (Shape | undefined)[] {
  const constant = known.graph.constants.get(node.name);
  if (constant) return [constant.shape];
  const inferred = MANY_RULES.get(node.op)?.(node, known) ?? [RULES.get(node.op)?.(node, known)];
  // What TensorFlow or a run of the graph has found, for ops without a rule.
  const found = shapesAttr(node, '_output_shapes');
  if (found.length === 0) return inferred;
  const count = Math.max(inferred.length, found.length);
  return Array.from({ length: count }, (_, i) => inferred[i] ?? found[i]);
}

/** Infers shapes node by node, each after those that it reads. */
export class ShapeInference {
  private readonly known: Known;

  /** @param graph its constants and inputs may grow while nodes are added */
  constructor(graph: Pick<Graph, 'constants' | 'inputs'>) {
    this.known = { shapes: new Map(), values: new Map(), lists: new Map(), graph };
  }

  /** All that can be known of a graph, to which nodes and constants may be added then. */
  static of(graph: Graph): ShapeInference {
    return inferTurns({ ...graph, constants: new Map(graph.constants) });
  }

  /** Values of a small tensor of numbers, if all are known without running the graph. */
  constant(ref: TensorRef): readonly number[] | undefined {
    return constantsOf(this.known, ref);
  }

  /** The same with NaN for values that are known only at run time. */
  values(ref: TensorRef): readonly number[] | undefined {
    return valuesOf(this.known, ref);
  }

  addConstant(name: string, constant: Constant): void {
    (this.known.graph.constants as Map<string, Constant>).set(name, constant);
    this.known.shapes.set(refKey({ node: name, index: 0 }), constant.shape);
  }

  get shapes(): Shapes {
    return this.known.shapes;
  }

  /** @throws LowbitError 'invalid-model' if the node's shapes cannot go together */
  add(node: GraphNode): void {
    const { known } = this;
    const key = (index: number) => refKey({ node: node.name, index });
    const shapes = outputShapes(node, known);
    const lists = inferLists(node, known);
    shapes.forEach((shape, index) => {
      if (shape?.some((size) => Number.isFinite(size) && !Number.isInteger(size))) {
        throw invalid(node, `its input does not divide evenly: its shape would be [${shape}].`);
      }
      if (shape && !Number.isSafeInteger(knownElements(shape))) {
        throw invalid(node, `its shape [${shape}] multiplies past 2^53.`);
      }
      known.shapes.set(key(index), shape);
    });
    lists.forEach((list, index) => {
      if (list) known.lists.set(key(index), list);
    });
    inferValues(node, known).forEach((values, index) => {
      if (values) known.values.set(key(index), values);
    });
  }

  /** Takes over what a turn of the loops of a graph ends with. */
  startFrom(other: ShapeInference, ends: readonly GraphNode[]): void {
    for (const key of ends.map(({ name }) => refKey({ node: name, index: 0 }))) {
      this.known.shapes.set(key, other.known.shapes.get(key));
      const list = other.known.lists.get(key);
      if (list) this.known.lists.set(key, list);
    }
  }

  /** Whether turns of the loops end with the same as in another inference. */
  agrees(other: ShapeInference, ends: readonly GraphNode[]): boolean {
    return ends.every(({ name }) => {
      const key = refKey({ node: name, index: 0 });
      const [a, b] = [this, other].map(({ known }) => known.shapes.get(key));
      const [listA, listB] = [this, other].map(({ known }) => known.lists.get(key));
      return a?.join() === b?.join() && !a === !b && sameList(listA, listB);
    });
  }
}

function inferOnce(graph: Graph, ends: readonly GraphNode[], previous?: ShapeInference): ShapeInference {
  const inference = new ShapeInference(graph);
  if (previous) inference.startFrom(previous, ends);
  for (const node of graph.nodes.values()) inference.add(node);
  return inference;
}

/**
 * Infers the shape of every tensor that can be known without running the graph.
 *
 * @throws LowbitError 'invalid-model' naming a node whose shapes cannot go together
 */
export function inferShapes(graph: Graph): Shapes {
  return inferTurns(graph).shapes;
}

function inferTurns(graph: Graph): ShapeInference {
  const ends = [...graph.nodes.values()].filter(({ op }) => op === 'NextIteration');
  let inference = inferOnce(graph, ends);
  if (ends.length === 0) return inference;
  for (let turn = 1; turn < MAX_TURNS; turn++) {
    const next = inferOnce(graph, ends, inference);
    if (next.agrees(inference, ends)) return next;
    inference = next;
  }
  // What a loop carries changes from turn to turn: nothing is presumed of it.
  return inferOnce(graph, ends, new ShapeInference(graph));
}
