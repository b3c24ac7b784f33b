import type { CalibrationMethod } from '../../calibration/observers/methods';
import { FORMAT_OF_BITS, type WeightBits, type WeightsName } from '../../quantization/layer-weights';
import picomatch from '../../vendor/picomatch';
import type { Config, LayerConfig } from './config';

interface Rule extends LayerConfig {
  matches(name: string): boolean;
}

/** A name matches itself, whatever it is made of. */
function compile(layer: LayerConfig): Rule {
  const glob = picomatch(layer.match, { dot: true });
  return { ...layer, matches: (name) => name === layer.match || glob(name) };
}

/** Settings of single layers, by the names of nodes. */
export class LayerRules {
  private readonly rules: readonly Rule[];

  constructor({ skip = [], layers = [] }: Config) {
    const skipped = skip.map((match): LayerConfig => ({ match, bits: 'float' }));
    this.rules = [...skipped, ...layers].map(compile);
  }

  /** The rules that set int16 or dynamic activations. */
  get activationRules(): readonly Rule[] {
    return this.rules.filter(({ activations = 'int8' }) => activations !== 'int8');
  }

  /** Whether some rule is as a test says. */
  some(test: (layer: LayerConfig) => boolean): boolean {
    return this.rules.some(test);
  }

  private field<Key extends keyof LayerConfig>(name: string, key: Key): LayerConfig[Key] | undefined {
    return this.rules.findLast((rule) => rule[key] !== undefined && rule.matches(name))?.[key];
  }

  /** How a node's weights are stored, or `float` for one that is not quantized. */
  weightsOf(name: string): WeightsName | 'float' | undefined {
    const decides = ({ bits, weights }: LayerConfig) => bits !== undefined || weights !== undefined;
    const rule = this.rules.findLast((each) => decides(each) && each.matches(name));
    if (rule?.bits === 'float') return 'float';
    return rule?.weights ?? (rule && FORMAT_OF_BITS[rule.bits as WeightBits]);
  }

  groupOf(name: string): LayerConfig['group'] {
    return this.field(name, 'group');
  }

  rotateOf(name: string): LayerConfig['rotate'] {
    return this.field(name, 'rotate');
  }

  activationsOf(name: string): LayerConfig['activations'] {
    return this.field(name, 'activations');
  }

  methodOf(name: string): CalibrationMethod | undefined {
    return this.field(name, 'calibration');
  }

  /** Patterns that match none of these names: misspelt, most likely. */
  unmatched(names: readonly string[]): string[] {
    return this.rules.filter((rule) => !names.some((name) => rule.matches(name))).map(({ match }) => match);
  }
}
