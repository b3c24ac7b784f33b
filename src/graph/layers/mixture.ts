/** The mixture-of-experts layer of this package (`MoELayer`). */
import { attr } from '../attrs';
import { MIXTURE_ACTIVATIONS, MIXTURE_OP } from '../mixture';
import type { LayerReader } from './layer-call';

const mixture: LayerReader = (call) => {
  const { config, input } = call;
  const width = call.known(input.shape.at(-1) ?? 0, 'the features of its input');
  const [experts, topK, hidden] = ['experts', 'top_k', 'hidden'].map((key) => config.integer(key));
  const activation = config.word('activation', MIXTURE_ACTIVATIONS, 'relu');
  const shapes: Record<string, number[]> = {
    gate: [width, experts],
    up: [experts, width, hidden],
    up_bias: [experts, hidden],
    down: [experts, hidden, width],
    down_bias: [experts, width],
  };
  const weights = Object.entries(shapes).map(([name, shape]) =>
    call.constant(name, call.weight(name, shape)),
  );
  const attrs = { topK: attr.int(topK), activation: attr.string(activation) };
  return call.result(call.op(MIXTURE_OP, [call.plain(input), ...weights], attrs));
};

export const MIXTURE_LAYERS: Readonly<Record<string, LayerReader>> = { MoELayer: mixture };
