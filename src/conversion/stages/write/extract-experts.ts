/** Removes the experts of mixture-of-experts layers from a graph, to pack them into a container beside it. */
import { LowbitError } from '../../../base/errors';
import { attr, numberAttr, stringAttr } from '../../../graph/attrs';
import { constantOf, refKey } from '../../../graph/edit';
import type { Constant, Graph, GraphNode } from '../../../graph/ir';
import { MIXTURE_ACTIVATIONS, mixturesOf } from '../../../graph/mixture';
import { transpose } from '../../../moe/pack';
import type { ExpertBytes } from '../../../moe/store/container';
import {
  type ExpertFormat,
  type ExpertLayout,
  type ExpertWeights,
  packExpert,
} from '../../../moe/store/expert-bytes';
import { removeDeadNodes } from '../../../passes/remove-dead-nodes';

/** The experts of one layer, or of several nodes that share them. */
interface Layer {
  readonly name: string;
  readonly layout: ExpertLayout;
  readonly experts: number;
  readonly topK: number;
  /** up [experts, width, hidden], its bias, down [experts, hidden, width], its bias. */
  readonly parts: readonly Constant[];
}

export interface ExtractedExperts {
  /** The graph without the experts; an attribute of its nodes is the number of their layer. */
  readonly graph: Graph;
  /** Names of the nodes. */
  readonly nodes: readonly string[];
  readonly layers: readonly Layer[];
}

/** Gate, up, its bias, down, its bias. */
const PARTS = 5;

function readLayer(graph: Graph, node: GraphNode): Layer {
  const refuse = (what: string) => new LowbitError('invalid-model', `${node.op} '${node.name}': ${what}.`);
  const weights = node.inputs.slice(1).map((input) => constantOf(graph, input));
  if (weights.length !== PARTS || weights.includes(undefined))
    throw refuse(`expected constants for its gate, and for weights and biases of its experts`);
  const [gate, ...parts] = weights as Constant[];
  const [width, experts] = gate.shape;
  const hidden = parts[0].shape[2];
  const shapes = [
    [width, experts],
    [experts, width, hidden],
    [experts, hidden],
    [experts, hidden, width],
    [experts, width],
  ];
  const wrong = [gate, ...parts].findIndex((c, i) => c.shape.join() !== shapes[i].join());
  if (wrong >= 0)
    throw refuse(
      `input ${wrong + 1} has shape [${[gate, ...parts][wrong].shape}], expected [${shapes[wrong]}]`,
    );
  const topK = numberAttr(node, 'topK') ?? 0;
  if (!Number.isInteger(topK) || topK < 1 || topK > experts)
    throw refuse(`its topK is ${topK}, expected an integer from 1 to ${experts}`);
  const name = stringAttr(node, 'activation') ?? '';
  const activation = MIXTURE_ACTIVATIONS.find((known) => known === name);
  if (!activation) throw refuse(`its activation is '${name}', expected ${MIXTURE_ACTIVATIONS.join(', ')}`);
  return { name: node.name, layout: { width, hidden, activation, gated: false }, experts, topK, parts };
}

function checkAlike(layers: readonly Layer[]): void {
  const describe = ({ layout: { width, hidden, activation }, experts, topK }: Layer) =>
    `${experts} experts of ${width} x ${hidden}, ${activation}, top-${topK}`;
  const [first] = layers;
  const other = layers.find((layer) => describe(layer) !== describe(first));
  if (!other) return;
  throw new LowbitError(
    'invalid-model',
    `The layers of experts have to be alike: '${first.name}' has ${describe(first)}, '${other.name}' ${describe(other)}.`,
  );
}

/**
 * @returns undefined where the graph has no experts
 * @throws LowbitError 'invalid-model' naming the node whose weights do not fit, or is unlike the others
 */
export function extractExperts(graph: Graph): ExtractedExperts | undefined {
  const found = mixturesOf(graph);
  if (found.length === 0) return undefined;
  const numbers = new Map<string, number>();
  const layers: Layer[] = [];
  const nodes = new Map(graph.nodes);
  for (const node of found) {
    const [x, gate, ...parts] = node.inputs;
    const key = parts.map(refKey).join();
    if (!numbers.has(key)) {
      numbers.set(key, layers.length);
      layers.push(readLayer(graph, node));
    }
    const { topK: _, activation: __, ...attrs } = node.attrs;
    nodes.set(node.name, {
      ...node,
      inputs: [x, gate],
      attrs: { ...attrs, layer: attr.int(numbers.get(key)!) },
    });
  }
  checkAlike(layers);
  const names = found.map(({ name }) => name);
  return { graph: removeDeadNodes.apply({ ...graph, nodes }).graph, nodes: names, layers };
}

/** @param parts the values of a layer's parts; reading `values` of a constant may read a file */
function weightsOf(
  { layout: { width, hidden }, experts }: Layer,
  parts: readonly Float32Array[],
  expert: number,
): ExpertWeights {
  const [up, upBias, down, downBias] = parts.map((values) => {
    const count = values.length / experts;
    return values.subarray(expert * count, (expert + 1) * count);
  });
  return {
    up: { values: transpose(up, width, hidden), bias: upBias },
    down: { values: transpose(down, hidden, width), bias: downBias },
  };
}

/** Arguments of `writeContainer` for the experts. */
export function packLayers({ layers }: ExtractedExperts, formats: readonly ExpertFormat[]) {
  const [{ layout, experts }] = layers;
  const precisions = formats.map(({ format }) => ({ name: format, layout }));
  function* each(): Generator<ExpertBytes> {
    for (const [index, layer] of layers.entries()) {
      const parts = layer.parts.map(({ values }) => values as Float32Array);
      for (let expert = 0; expert < experts; expert++) {
        const weights = weightsOf(layer, parts, expert);
        for (const [precision, format] of formats.entries()) {
          yield { layer: index, expert, precision, bytes: packExpert(layout, weights, format) };
        }
      }
    }
  }
  return { model: { layers: layers.length, experts, precisions }, experts: each() };
}
