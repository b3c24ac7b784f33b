/**
 * Folds the fake quantizers of quantization-aware training: their bounds are the ranges that the model was trained with,
 * and replace calibrated ones.
 *
 * Pattern: FakeQuantWithMinMaxArgs, FakeQuantWithMinMaxVars, FakeQuantWithMinMaxVarsPerChannel and
 * QuantizeAndDequantize (V2, V3) with constant bounds.
 * Replacement: for an activation, its readers read its input, whose range the graph records. For a constant, the
 * rounded values (Jacob et al. 2018, equations 12 and 13).
 * Declines: bounds that are computed. FakeQuantWithMinMaxVars is removed even then, as TF.js runs it as an identity.
 */
import { attr, boolAttr, numberAttr } from '../graph/attrs';
import { constantOf, GraphEditor, output, outputNodes, refKey } from '../graph/edit';
import type { Constant, Graph, GraphNode, ValueRange } from '../graph/ir';
import { roundHalfToEven } from '../quantization/activation';
import { ChangeLog, type Pass } from './pass';

/** Bounds of all values, or of each channel (the last axis), and how values between them are rounded. */
interface FakeQuantizer {
  readonly min: ArrayLike<number>;
  readonly max: ArrayLike<number>;
  round(x: number, min: number, max: number): number;
}

/** Rounds to 2^bits steps between bounds that are moved so that zero is one of them. */
function affineRounding(bits: number, narrow: boolean): FakeQuantizer['round'] {
  const lowest = narrow ? 1 : 0;
  const highest = 2 ** bits - 1;
  return (x, min, max) => {
    if (max <= min) return 0;
    const scale = (max - min) / (highest - lowest);
    const zeroPoint = Math.min(highest, Math.max(lowest, Math.round(lowest - min / scale)));
    const code = Math.min(highest - zeroPoint, Math.max(lowest - zeroPoint, Math.floor(x / scale + 0.5)));
    return code * scale;
  };
}

/** Rounds to steps from zero, as many on either side as the larger bound needs. */
function symmetricRounding(bits: number, signed: boolean, narrow: boolean): FakeQuantizer['round'] {
  const lowest = signed ? -(2 ** (bits - 1)) + (narrow ? 1 : 0) : 0;
  const highest = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
  return (x, min, max) => {
    const scale = Math.max(max > 0 ? max / highest : 0, min < 0 && lowest < 0 ? min / lowest : 0);
    return scale === 0 ? 0 : Math.min(highest, Math.max(lowest, roundHalfToEven(x / scale))) * scale;
  };
}

const BITS = 8;

/** TensorFlow's defaults for FakeQuantWithMinMaxArgs. */
const DEFAULT_BOUND = 6;

function readFakeQuantizer(graph: Graph, node: GraphNode): FakeQuantizer | undefined {
  const bits = numberAttr(node, 'num_bits') ?? BITS;
  const narrow = boolAttr(node, 'narrow_range');
  const [min, max, width] = node.inputs.slice(1).map((i) => constantOf(graph, i)?.values);
  switch (node.op) {
    case 'FakeQuantWithMinMaxArgs': {
      const bound = (name: string, byDefault: number) => [numberAttr(node, name) ?? byDefault];
      return {
        min: bound('min', -DEFAULT_BOUND),
        max: bound('max', DEFAULT_BOUND),
        round: affineRounding(bits, narrow),
      };
    }
    case 'FakeQuantWithMinMaxVars':
    case 'FakeQuantWithMinMaxVarsPerChannel':
      return min && max && { min, max, round: affineRounding(bits, narrow) };
    case 'QuantizeAndDequantizeV2':
    case 'QuantizeAndDequantizeV3': {
      const signed = node.attrs.signed_input?.b !== false;
      const given = node.op.endsWith('V2') ? bits : width?.[0];
      return min && max && given !== undefined && boolAttr(node, 'range_given')
        ? { min, max, round: symmetricRounding(given, signed, narrow) }
        : undefined;
    }
    default:
      return undefined;
  }
}

const FAKE_QUANTIZERS: ReadonlySet<string> = new Set([
  'FakeQuantWithMinMaxArgs',
  'FakeQuantWithMinMaxVars',
  'FakeQuantWithMinMaxVarsPerChannel',
  'QuantizeAndDequantizeV2',
  'QuantizeAndDequantizeV3',
]);

function rounded(constant: Constant, { min, max, round }: FakeQuantizer): Constant {
  const channels = min.length;
  const values = Float32Array.from(constant.values, (x, i) => round(x, min[i % channels], max[i % channels]));
  return { ...constant, values };
}

function overall({ min, max }: FakeQuantizer): ValueRange {
  return { min: Math.min(0, ...Array.from(min)), max: Math.max(0, ...Array.from(max)) };
}

function union(a: ValueRange, b: ValueRange | undefined): ValueRange {
  return b ? { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) } : a;
}

export const foldFakeQuantization: Pass = {
  name: 'fold-fake-quantization',
  apply(graph: Graph) {
    const log = new ChangeLog(this.name);
    const editor = new GraphEditor(graph);
    const kept = outputNodes(graph);
    const ranges = new Map(graph.ranges);
    for (const { name } of graph.nodes.values()) {
      const node = editor.nodes.get(name)!;
      if (!FAKE_QUANTIZERS.has(node.op)) continue;
      const quantizer = readFakeQuantizer(graph, node);
      if (!quantizer && node.op !== 'FakeQuantWithMinMaxVars') {
        log.declined(name, 'not removed: its range is not constant');
        continue;
      }
      const [input] = node.inputs;
      const constant = editor.constants.get(input.node);
      if (quantizer && constant?.dtype === 'float32' && !kept.has(name)) {
        editor.setConstant(name, rounded(constant, quantizer));
        log.rewrote(name, `rounded the constant like ${node.op}`);
        continue;
      }
      if (quantizer) {
        const range = union(overall(quantizer), ranges.get(refKey(input)));
        ranges.set(refKey(input), range);
        log.rewrote(name, `took the range [${range.min}, ${range.max}] of ${node.op} for '${input.node}'`);
      } else {
        log.rewrote(name, `removed ${node.op}, whose range is not constant`);
      }
      if (kept.has(name)) {
        editor.setNode({ name, op: 'Identity', inputs: [input], attrs: { T: attr.dtype('float32') } });
      } else {
        editor.replaceUses(output(name), input);
        editor.remove(name);
      }
    }
    return log.changes.length === 0
      ? { graph, changes: [] }
      : { graph: { ...editor.finish(), ranges }, changes: log.changes };
  },
};
