/** Warnings about what was requested and could not be done. */
import type { QuantizationPlan } from '../../../passes/quantize/plan/plan';
import { namesIn } from '../../settings';
import type { Int8Decision } from '../../stage-results';

/** Names that a warning shows. */
const SHOWN = 5;

function some(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN).map((name) => `'${name}'`);
  return names.length > SHOWN ? `${shown.join(', ')} and ${names.length - SHOWN} more` : shown.join(', ');
}

/** Products of a plan that run in INT8, by name, with why they have no other form. */
function productsInInt8({ regions, precisions }: QuantizationPlan): Map<string, string> {
  const products = new Map<string, string>();
  for (const step of regions.flatMap(({ steps }) => steps)) {
    if (step.kind !== 'op' || precisions.has(step.node.name)) continue;
    const { quantizable } = step;
    if (quantizable.kind === 'matrixProduct')
      products.set(step.node.name, 'products of two activations run in INT8 only');
    else if (quantizable.kind === 'weighted')
      products.set(
        step.node.name,
        quantizable.overflowsInt16 ? 'their sums overflow in int16' : 'they have no such form',
      );
  }
  return products;
}

/** One for each precision and reason why it does not apply to products for which it was requested. */
function unmetPrecisions({ plan, precisions }: Int8Decision): string[] {
  const products = productsInInt8(plan);
  const unmet = new Map<string, string[]>();
  for (const [name, precision] of precisions) {
    const reason = products.get(name);
    if (reason === undefined) continue;
    const key = `${precision} activations do not apply to %, which run in INT8: ${reason}.`;
    unmet.set(key, [...(unmet.get(key) ?? []), name]);
  }
  return [...unmet].map(([text, names]) => text.replace('%', some(names)));
}

/** For each pattern that requests a precision: that nothing which it matches has it, if so, and why. */
function idlePatterns({ settings, model, plan, precisions }: Int8Decision): string[] {
  const nodes = namesIn(model.graph);
  const products = productsInInt8(plan);
  return settings.rules.activationRules.flatMap(({ match, activations, matches }) => {
    const matched = nodes.filter(matches);
    const met = matched.some((name) => plan.precisions.get(name) === activations);
    const reported = matched.some((name) => products.has(name) && precisions.has(name));
    if (matched.length === 0 || met || reported) return [];
    const float = matched.filter((name) => plan.float.has(name));
    const why = float.length > 0 ? `: ${some(float)} in float, as ${plan.float.get(float[0])}` : '';
    return [
      `The pattern '${match}' requests ${activations} activations, which none of its nodes can have${why}.`,
    ];
  });
}

/** That fewer layers than requested have int16 activations. */
function fewerInt16({ settings, plan }: Int8Decision): string[] {
  const { costliestInt16 } = settings;
  const found = [...plan.precisions.values()].filter((precision) => precision === 'int16').length;
  if (found >= costliestInt16) return [];
  return [`int16 activations were requested for ${costliestInt16} layers; only ${found} can have them.`];
}

/** That no layer has the weights of fewer bits that are the model's default. */
function idleWeights({ settings, weights, model }: Int8Decision): string[] {
  const { format } = settings.weights;
  if (format === 'int8' || weights.lowBit.size > 0) return [];
  const reasons = [...new Set(model.kept.values())].slice(0, SHOWN).join('; ');
  return [`No layer has ${format} weights, all are INT8${reasons && `: ${reasons}`}.`];
}

/** Layers that error feedback, which is on, was left out for. */
function unfedLayers({ withoutFeedback = [] }: Int8Decision): string[] {
  if (withoutFeedback.length === 0) return [];
  return [
    `Error feedback was left out for ${some(withoutFeedback)}: a matrix of their inputs would take too much memory.`,
  ];
}

/** What was requested and is not as requested. */
export function requestWarnings(decision: Int8Decision): string[] {
  return [
    ...unmetPrecisions(decision),
    ...idlePatterns(decision),
    ...fewerInt16(decision),
    ...idleWeights(decision),
    ...unfedLayers(decision),
  ];
}
