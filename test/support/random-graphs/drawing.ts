/** A float graph that grows node by node: each node runs in TF.js as it is drawn, so that only valid ones are kept. */
import '@tensorflow/tfjs-backend-cpu';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import { attr, shapeToJson } from '../../../src/graph/attrs';
import { refKey, topologicalOrder } from '../../../src/graph/edit';
import { toModelArtifacts } from '../../../src/graph/encode-graph-model';
import type {
  Constant,
  DenseTensor,
  DType,
  Graph,
  GraphNode,
  RawAttr,
  Sample,
  SignatureEntry,
  TensorRef,
} from '../../../src/graph/ir';
import { parseRef } from '../../../src/graph/read-graph-model';
import { GraphRunner } from '../../../src/tfjs/graph-runner';
import { repairBackend } from '../../../src/tfjs/kernel-repairs';
import type { Random } from '../random';

export type Shape = readonly number[];

/** What a tensor is for each of the samples. */
export interface Drawn {
  readonly name: string;
  readonly dtype: DType;
  readonly shapes: readonly Shape[];
  readonly values: readonly DenseTensor['values'][];
  /** Whether a layer with weights lies before it. */
  readonly layered: boolean;
}

export interface NodeSpec {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  readonly attrs?: Record<string, RawAttr>;
}

export interface RandomGraph {
  readonly graph: Graph;
  readonly samples: readonly Sample[];
  /** More of the kind, where a few do not tell. */
  more(rounds: number): Sample[];
}

/** A node that does not fit what was drawn before: another is drawn in its place. */
export class Discarded extends Error {}

export const SAMPLES = 5;

/** Larger values leave what 8 bits are for; masks have templates of their own. */
const MAX_VALUE = 200;
const MAX_ELEMENTS = 3000;

const LAYERS = /^(_?Fused)?(Conv|Depthwise|MatMul|BatchMatMul)/;

export const T: Record<string, RawAttr> = { T: attr.dtype('float32') };

export const elements = (shape: Shape) => shape.reduce((product, d) => product * d, 1);

const typed = (dtype: DType, values: ArrayLike<number>) =>
  dtype === 'float32'
    ? Float32Array.from(values)
    : dtype === 'bool'
      ? Uint8Array.from(values)
      : Int32Array.from(values);

type Result = { shape: number[]; dtype: DType; values: DenseTensor['values'] };

/** What TF.js computes on its backend `cpu`, repaired, for each sample. */
export async function runGraph(
  graph: Graph,
  samples: readonly Readonly<Record<string, DenseTensor>>[],
  refs: readonly TensorRef[] = graph.outputs.map(({ ref }) => ref),
): Promise<Result[][]> {
  if (tf.getBackend() !== 'cpu') await tf.setBackend('cpu');
  repairBackend('cpu');
  const model = await loadGraphModel(tf.io.fromMemory(toModelArtifacts(graph)));
  const runner = new GraphRunner(
    model,
    [...graph.nodes.values()].map(({ op }) => op),
  );
  const results: Result[][] = [];
  try {
    for (const sample of samples) {
      const feeds = Object.fromEntries(
        graph.inputs.flatMap(({ name, ref }) => {
          const given = sample[name];
          if (!given) return [];
          return [[refKey(ref), tf.tensor(given.values as tf.TensorLike, [...given.shape], given.dtype)]];
        }),
      );
      let tensors: tf.Tensor[] = [];
      try {
        tensors = await runner.run(feeds, refs.map(refKey));
        results.push(
          tensors.map((tensor) => ({
            shape: tensor.shape,
            dtype: tensor.dtype as DType,
            values: tensor.dataSync().slice() as DenseTensor['values'],
          })),
        );
      } finally {
        tf.dispose([...tensors, ...Object.values(feeds)]);
      }
    }
  } finally {
    runner.dispose();
  }
  return results;
}

/** TF.js gives some windows that do not fit sizes below 0. */
const isSane = ({ shape, dtype, values }: Result) =>
  shape.every((size) => size >= 0) &&
  values.length <= MAX_ELEMENTS &&
  values.length > 0 &&
  (dtype !== 'float32' || (values as Float32Array).every((v) => Math.abs(v) <= MAX_VALUE));

export class Drawing {
  readonly tensors: Drawn[] = [];
  private readonly nodes = new Map<string, GraphNode>();
  private readonly constants = new Map<string, Constant>();
  private readonly inputs: SignatureEntry[] = [];
  private readonly samples: Record<string, DenseTensor>[] = Array.from({ length: SAMPLES }, () => ({}));
  private readonly pool = new Map<string, string[]>();
  /** Draws an input again, as in one of the samples. */
  private readonly drawn = new Map<string, (sample: number) => DenseTensor>();
  private count = 0;

  constructor(readonly random: Random) {}

  name(): string {
    return `n${this.count++}`;
  }

  // Inputs and constants

  /**
   * @param shapes one for each sample
   * @param value draws an element
   */
  input(declared: Shape, shapes: readonly Shape[], dtype: DType, value: () => number): void {
    const draw = (shape: Shape) => typed(dtype, Array.from({ length: elements(shape) }, value));
    const name = `x${this.inputs.length}`;
    const attrs = { dtype: attr.dtype(dtype), shape: { shape: shapeToJson(declared) } };
    this.nodes.set(name, { name, op: 'Placeholder', inputs: [], attrs });
    this.inputs.push({ name, ref: { node: name, index: 0 }, dtype, shape: declared });
    this.drawn.set(name, (i) => ({ shape: shapes[i], values: draw(shapes[i]), dtype }) as DenseTensor);
    const tensors = shapes.map((_, i) => this.drawn.get(name)!(i));
    tensors.forEach((tensor, i) => {
      this.samples[i][name] = tensor;
    });
    this.tensors.push({
      name,
      dtype,
      shapes: tensors.map(({ shape }) => shape),
      values: tensors.map(({ values }) => values),
      layered: false,
    });
  }

  constant(shape: Shape, values: ArrayLike<number>, dtype: DType = 'float32'): string {
    const name = this.name();
    this.constants.set(name, { dtype, shape, values: typed(dtype, values) });
    this.nodes.set(name, { name, op: 'Const', inputs: [], attrs: { dtype: attr.dtype(dtype) } });
    return name;
  }

  /** Strings as a weight manifest stores them: the length of each before its bytes. */
  strings(texts: readonly string[]): string {
    const name = this.name();
    const bytes = texts.flatMap((text) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(text.length);
      return [...length, ...Buffer.from(text)];
    });
    this.constants.set(name, { dtype: 'string', shape: [texts.length], values: Uint8Array.from(bytes) });
    this.nodes.set(name, { name, op: 'Const', inputs: [], attrs: { dtype: attr.dtype('string') } });
    return name;
  }

  ints(values: readonly number[], shape: Shape = [values.length]): string {
    return this.constant(shape, values, 'int32');
  }

  scalar(value: number): string {
    return this.constant([], [value]);
  }

  /** Random weights, now and then those of another layer. */
  weights(shape: Shape, min: number, max = -min): string {
    const key = shape.join();
    const before = this.pool.get(key) ?? [];
    if (before.length > 0 && this.random.chance(0.25)) return this.random.pick(before);
    const [low, high] = [Math.min(min, max), Math.max(min, max)];
    const name = this.constant(
      shape,
      Array.from({ length: elements(shape) }, () => this.random.real(low, high)),
    );
    this.pool.set(key, [...before, name]);
    return name;
  }

  // Choosing what to read

  /** One of the latest tensors that suit. */
  any(suits: (tensor: Drawn) => boolean = () => true): Drawn {
    const fit = this.tensors.filter((tensor) => tensor.dtype === 'float32' && suits(tensor));
    if (fit.length === 0) throw new Discarded('nothing suits');
    return this.random.pick(fit.slice(-7));
  }

  ofRank(...ranks: number[]): Drawn {
    return this.any(({ shapes }) => ranks.includes(shapes[0].length));
  }

  find(suits: (tensor: Drawn) => boolean): Drawn | undefined {
    const fit = this.tensors.filter(suits);
    return fit.length > 0 ? this.random.pick(fit) : undefined;
  }

  need(condition: boolean): void {
    if (!condition) throw new Discarded('does not fit');
  }

  // Nodes

  /** Adds one node. @returns its outputs */
  async add(
    op: string,
    inputs: readonly (Drawn | string)[],
    attrs: Record<string, RawAttr> = {},
    outputs = 1,
  ): Promise<Drawn[]> {
    const name = this.name();
    const names = inputs.map((input) => (typeof input === 'string' ? input : input.name));
    const results = Array.from({ length: outputs }, (_, i) => (i === 0 ? name : `${name}:${i}`));
    return this.group([{ name, op, inputs: names, attrs: { ...T, ...attrs } }], results);
  }

  /** The only output of such a node. */
  async one(
    op: string,
    inputs: readonly (Drawn | string)[],
    attrs: Record<string, RawAttr> = {},
  ): Promise<Drawn> {
    const [drawn] = await this.add(op, inputs, attrs);
    return drawn;
  }

  /**
   * Adds nodes that only make sense together.
   *
   * @param results what may be read of them
   * @throws Discarded where TF.js refuses them, or values are not those of data
   */
  async group(specs: readonly NodeSpec[], results: readonly string[]): Promise<Drawn[]> {
    const nodes = specs.map(
      ({ name, op, inputs, attrs = {} }): GraphNode => ({ name, op, inputs: inputs.map(parseRef), attrs }),
    );
    const own = new Set(specs.map(({ name }) => name));
    const outer = nodes.flatMap(({ inputs }) => inputs).filter((ref) => !own.has(ref.node));
    const read = new Set(outer.map((ref) => (ref.index === 0 ? ref.node : refKey(ref))));
    const mini = new Map<string, GraphNode>();
    const inputs: SignatureEntry[] = [];
    const feeds: Record<string, DenseTensor>[] = this.samples.map(() => ({}));
    const renamed = new Map<string, TensorRef>();
    const constants = new Map<string, Constant>();
    for (const ref of outer) {
      const constant = this.constants.get(ref.node);
      if (constant) {
        constants.set(ref.node, constant);
        mini.set(ref.node, this.nodes.get(ref.node)!);
        continue;
      }
      const key = ref.index === 0 ? ref.node : refKey(ref);
      const drawn = this.tensors.find((tensor) => tensor.name === key);
      if (!drawn) throw new Error(`${key} was not drawn`);
      const name = `in_${key.replace(':', '_')}`;
      if (!mini.has(name)) {
        mini.set(name, {
          name,
          op: 'Placeholder',
          inputs: [],
          attrs: { dtype: attr.dtype(drawn.dtype), shape: { shape: { unknownRank: true } } },
        });
        inputs.push({ name, ref: { node: name, index: 0 }, dtype: drawn.dtype });
        feeds.forEach((feed, i) => {
          feed[name] = {
            dtype: drawn.dtype,
            shape: drawn.shapes[i],
            values: drawn.values[i],
          } as DenseTensor;
        });
      }
      renamed.set(refKey(ref), { node: name, index: 0 });
    }
    for (const node of nodes) {
      mini.set(node.name, {
        ...node,
        inputs: node.inputs.map((ref) => (own.has(ref.node) ? ref : (renamed.get(refKey(ref)) ?? ref))),
      });
    }
    const refs = results.map(parseRef);
    const graph: Graph = {
      nodes: topologicalOrder(mini),
      constants,
      inputs,
      outputs: results.map((name, i) => ({ name, ref: refs[i], dtype: 'float32' })),
      source: {},
    };
    let computed: Result[][];
    try {
      computed = await runGraph(graph, feeds, refs);
    } catch (error) {
      throw new Discarded((error as Error).message);
    }
    for (const result of computed.flat()) this.need(isSane(result));
    for (const node of nodes) this.nodes.set(node.name, node);
    const layered =
      nodes.some(({ op }) => LAYERS.test(op)) ||
      this.tensors.some(({ name, layered }) => layered && read.has(name));
    const drawn = results.map(
      (name, i): Drawn => ({
        layered,
        name,
        dtype: computed[0][i].dtype,
        shapes: computed.map((sample) => sample[i].shape),
        values: computed.map((sample) => sample[i].values),
      }),
    );
    this.tensors.push(...drawn);
    return drawn;
  }

  ops(): string[] {
    return [...this.nodes.values()].map(({ op }) => op);
  }

  // The end

  /** The graph of what its outputs depend on: some tensors that nothing reads, and now and then one that something does. */
  finish(): RandomGraph {
    const { random } = this;
    const reads = new Set([...this.nodes.values()].flatMap(({ inputs }) => inputs.map(refKey)));
    const made = this.tensors.filter(({ name, dtype }) => /^n/.test(name) && dtype !== 'string');
    const ends = made.filter(({ name }) => !reads.has(refKey(parseRef(name))));
    const chosen = new Set<Drawn>();
    const layered = ends.filter((end) => end.layered);
    if (ends.length > 0) chosen.add((layered.length > 0 ? layered : ends).at(-1)!);
    for (let i = random.int(0, 2); i > 0 && ends.length > 0; i--) chosen.add(random.pick(ends));
    if (random.chance(0.3) && made.length > 0) chosen.add(random.pick(made));
    const outputs = [...chosen].map(({ name, dtype }): SignatureEntry => {
      const ref = parseRef(name);
      if (ref.index === 0 && random.chance(0.5)) return { name, ref, dtype };
      const node = this.name();
      this.nodes.set(node, { name: node, op: 'Identity', inputs: [ref], attrs: { T: attr.dtype(dtype) } });
      return { name: node, ref: { node, index: 0 }, dtype };
    });
    const kept = new Set<string>();
    const queue = outputs.map(({ ref }) => ref.node);
    for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
      if (kept.has(name)) continue;
      kept.add(name);
      queue.push(...this.nodes.get(name)!.inputs.map((ref) => ref.node));
    }
    const used = <V>(map: ReadonlyMap<string, V>) => new Map([...map].filter(([name]) => kept.has(name)));
    const inputs = this.inputs.filter(({ name }) => kept.has(name));
    return {
      graph: {
        nodes: topologicalOrder(used(this.nodes)),
        constants: used(this.constants),
        inputs,
        outputs,
        source: {},
      },
      samples: this.samples.map((sample) =>
        Object.fromEntries(inputs.map(({ name }) => [name, sample[name]])),
      ),
      more: (rounds) =>
        Array.from({ length: rounds * SAMPLES }, (_, i) =>
          Object.fromEntries(inputs.map(({ name }) => [name, this.drawn.get(name)!(i % SAMPLES)])),
        ),
    };
  }
}
