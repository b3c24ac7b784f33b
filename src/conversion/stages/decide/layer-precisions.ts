/** Models with some layers in higher precision. */
import { countMacs } from '../../../graph/count-macs';
import { output, refKey } from '../../../graph/edit';
import type { Graph } from '../../../graph/ir';
import type { ActivationPrecision } from '../../../passes/quantize/match/quantizable';
import { floatInOutNodes } from '../../../passes/quantize/plan/float-in-out-nodes';
import { layersOf } from '../../../passes/quantize/plan/layers';
import { floatAnyway, planQuantization, type QuantizationPlan } from '../../../passes/quantize/plan/plan';
import { FLOAT_FOR_ACCURACY } from '../../float-reasons';

/**
 * @param plan everything in INT8
 * @param precisions by layer
 * @param float layers and tables that are left in float to meet an accuracy target
 */
export function planWithPrecisions(
  graph: Graph,
  plan: QuantizationPlan,
  precisions: ReadonlyMap<string, ActivationPrecision>,
  float: readonly string[] = [],
): QuantizationPlan {
  const nodes = new Map(layersOf(graph, plan).map((layer) => [layer.name, layer.nodes]));
  const left = float.flatMap((name) => [...(nodes.get(name) ?? [name])]);
  return planQuantization(graph, {
    float: new Map([
      ...floatAnyway(plan),
      ...left.map((name): [string, string] => [name, FLOAT_FOR_ACCURACY]),
    ]),
    precisions: floatInOutNodes(graph, plan, precisions),
  });
}

/** Reading or storing a float32 value costs about as much time as so many multiply-accumulates. */
const MACS_A_VALUE = 8;

/**
 * Time of a layer with float32 input and output, in multiply-accumulates.
 *
 * @param macWeight what one of its own counts
 */
export function timeOfLayers(graph: Graph, { shapes }: QuantizationPlan) {
  return (name: string, macWeight = 1): number => {
    const values = (shapes.get(refKey(output(name))) ?? []).reduce((product, d) => product * Math.abs(d), 1);
    return macWeight * countMacs(graph, shapes, graph.nodes.get(name)!) + MACS_A_VALUE * values;
  };
}
