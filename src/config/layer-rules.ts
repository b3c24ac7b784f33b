import picomatch from 'picomatch';
import type { CalibrationMethod } from '../calibration/observers/methods';
import type { Config, LayerConfig } from './config';

interface Rule extends LayerConfig {
  matches(name: string): boolean;
}

/** A name matches itself, whatever it is made of. */
function compile(layer: LayerConfig): Rule {
  const glob = picomatch(layer.match, { dot: true });
  return { ...layer, matches: (name) => name === layer.match || glob(name) };
}

/** What a configuration says of single layers, by the names of nodes. */
export class LayerRules {
  private readonly rules: readonly Rule[];

  constructor({ skip = [], layers = [] }: Config) {
    const skipped = skip.map((match): LayerConfig => ({ match, bits: 'float' }));
    this.rules = [...skipped, ...layers].map(compile);
  }

  bitsOf(name: string): LayerConfig['bits'] {
    return this.rules.findLast((rule) => rule.bits !== undefined && rule.matches(name))?.bits;
  }

  methodOf(name: string): CalibrationMethod | undefined {
    return this.rules.findLast((rule) => rule.calibration !== undefined && rule.matches(name))?.calibration;
  }

  /** Patterns that match none of these names: misspelt, most likely. */
  unmatched(names: readonly string[]): string[] {
    return this.rules.filter((rule) => !names.some((name) => rule.matches(name))).map(({ match }) => match);
  }
}
