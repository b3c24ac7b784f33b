/** What passes share: references, consumers, topological order, and an editor that turns one graph into the next. */
import { LowbitError } from '../base/errors';
import { attr } from './attrs';
import type { Constant, Graph, GraphNode, TensorRef } from './ir';

/** `node:index`, the key of a tensor in maps and its name for TF.js. */
export function refKey(ref: TensorRef): string {
  return `${ref.node}:${ref.index}`;
}

export function output(node: string, index = 0): TensorRef {
  return { node, index };
}

/** Every use of every node's outputs, in topological order of the users. */
export function consumers(graph: Pick<Graph, 'nodes'>): Map<string, GraphNode[]> {
  const uses = new Map<string, GraphNode[]>();
  for (const node of graph.nodes.values()) {
    for (const input of node.inputs) {
      const list = uses.get(input.node);
      if (list) list.push(node);
      else uses.set(input.node, [node]);
    }
  }
  return uses;
}

/** Names of the nodes that the signature's outputs refer to. */
export function outputNodes(graph: Pick<Graph, 'outputs'>): Set<string> {
  return new Set(graph.outputs.map((o) => o.ref.node));
}

/** The constant that a reference stands for, if it is one. */
export function constantOf(
  graph: Pick<Graph, 'constants'>,
  ref: TensorRef | undefined,
): Constant | undefined {
  return ref ? graph.constants.get(ref.node) : undefined;
}

/** What must come first. A loop's Merge also reads the value of the last turn, which comes later. */
function dependencies(nodes: ReadonlyMap<string, GraphNode>, node: GraphNode): string[] {
  const reads = node.inputs.map((i) => i.node);
  const first = node.op === 'Merge' ? reads.filter((name) => nodes.get(name)!.op !== 'NextIteration') : reads;
  return [...first, ...(node.controlInputs ?? [])];
}

/**
 * Orders nodes so that each comes after what it reads, otherwise as they came: depth first, without recursion (Tarjan
 * 1976, "Edge-disjoint spanning trees and depth-first search").
 *
 * @throws LowbitError 'invalid-model' naming the nodes of a cycle
 */
export function topologicalOrder(nodes: ReadonlyMap<string, GraphNode>): Map<string, GraphNode> {
  const order = new Map<string, GraphNode>();
  for (const start of nodes.values()) {
    const frame = (node: GraphNode) => ({ node, reads: dependencies(nodes, node), next: 0 });
    const stack = [frame(start)];
    const open = new Set([start.name]);
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      if (order.has(top.node.name)) {
        open.delete(stack.pop()!.node.name);
        continue;
      }
      const name = top.reads[top.next++];
      if (name === undefined) {
        order.set(top.node.name, top.node);
      } else if (open.has(name)) {
        const cycle = [
          ...stack.map((s) => s.node.name).slice(stack.findIndex((s) => s.node.name === name)),
          name,
        ];
        throw new LowbitError('invalid-model', `The graph has a cycle: ${cycle.join(' -> ')}.`);
      } else if (!order.has(name)) {
        open.add(name);
        stack.push(frame(nodes.get(name)!));
      }
    }
  }
  return order;
}

/** A mutable copy of a graph; `finish` gives the next graph, in topological order. */
export class GraphEditor {
  readonly nodes: Map<string, GraphNode>;
  readonly constants: Map<string, Constant>;

  constructor(private readonly graph: Graph) {
    this.nodes = new Map(graph.nodes);
    this.constants = new Map(graph.constants);
  }

  /** Adds a node or replaces the one of the same name. */
  setNode(node: GraphNode): void {
    this.nodes.set(node.name, node);
  }

  /** Adds a constant under a name that is still free, derived from `name`. */
  addConstant(name: string, constant: Constant): TensorRef {
    const free = this.freeName(name);
    this.setConstant(free, constant);
    return output(free);
  }

  /** Makes the node of this name a constant. */
  setConstant(name: string, constant: Constant): void {
    this.constants.set(name, constant);
    this.nodes.set(name, { name, op: 'Const', inputs: [], attrs: { dtype: attr.dtype(constant.dtype) } });
  }

  remove(name: string): void {
    this.nodes.delete(name);
    this.constants.delete(name);
  }

  freeName(name: string): string {
    const taken = (candidate: string) => this.nodes.has(candidate) || this.constants.has(candidate);
    if (!taken(name)) return name;
    let n = 1;
    while (taken(`${name}_${n}`)) n++;
    return `${name}_${n}`;
  }

  /** Makes every reader of a tensor read another one. The signature is left as it is. */
  replaceUses(from: TensorRef, to: TensorRef): void {
    for (const node of this.nodes.values()) {
      if (!node.inputs.some((i) => i.node === from.node && i.index === from.index)) continue;
      const inputs = node.inputs.map((i) => (i.node === from.node && i.index === from.index ? to : i));
      this.nodes.set(node.name, { ...node, inputs });
    }
  }

  finish(): Graph {
    for (const node of this.nodes.values()) {
      const kept = node.controlInputs?.filter((name) => this.nodes.has(name));
      if (kept && kept.length !== node.controlInputs!.length) {
        const { controlInputs: _, ...rest } = node;
        this.nodes.set(node.name, kept.length > 0 ? { ...rest, controlInputs: kept } : rest);
      }
    }
    return { ...this.graph, nodes: topologicalOrder(this.nodes), constants: this.constants };
  }
}
