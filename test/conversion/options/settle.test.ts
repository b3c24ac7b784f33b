import { type Config, checkConfig } from '../../../src/conversion/config/config';
import type { QuantizationOptions } from '../../../src/conversion/options/options';
import { settle } from '../../../src/conversion/options/settle';
import { configuredPrecisions, floatNodes } from '../../../src/conversion/settings';
import { planQuantization } from '../../../src/passes/quantize/plan/plan';
import { FloatGraph, windowAttrs } from '../../support/float-graph';
import { randomOf } from '../../support/random';

test('applies every default', () => {
  expect(settle({}, 'random')).toMatchObject({
    activations: 'int8',
    randomData: true,
    samples: 128,
    samplesRequested: false,
    validationSamples: 128,
    calibrationMethod: 'mse',
    percentile: 99.99,
    equalize: false,
    weightRange: 'max',
    biasCorrection: 'fast',
    regions: true,
    errorFeedback: false,
    targetBits: undefined,
    weights: { format: 'int8', group: 128, block: 0 },
    costliestInt16: 0,
  });
  expect(settle({}, 'random')).not.toHaveProperty('accuracyTarget');
  expect(settle({}, 'random')).not.toHaveProperty('tune');
});

test('options go before the configuration, and both before defaults', () => {
  const config: Config = { calibration: { method: 'minmax', samples: 4 }, weights: 'int4', rotate: 64 };
  const settings = settle({ config, calibrationMethod: 'entropy', group: 32 }, 'random');
  expect(settings).toMatchObject({
    calibrationMethod: 'entropy',
    samples: 4,
    samplesRequested: true,
    weights: { format: 'int4', group: 32, block: 64 },
  });
});

test('settings cannot be changed', () => {
  const settings = settle({}, 'random') as { samples: number };
  expect(() => {
    settings.samples = 1;
  }).toThrow(TypeError);
});

test('tune chooses only among settings that neither options nor configuration fix', () => {
  const source = async function* () {};
  const open = (options: QuantizationOptions) => settle({ ...options, tune: true }, source).tune!.open;
  expect(open({})).toEqual(['calibrationMethod', 'equalize', 'errorFeedback']);
  expect(open({ equalize: false, config: { calibration: { method: 'mse' } } })).toEqual(['errorFeedback']);
});

describe('int16 and dynamic activations', () => {
  const graph = new FloatGraph(randomOf('settings', 0))
    .input('image', [1, 4, 4, 3])
    .weights('w', [1, 1, 3, 3])
    .node('a', 'Conv2D', ['image', 'w'], windowAttrs())
    .node('b', 'Conv2D', ['a', 'w'], windowAttrs())
    .node('c', 'Conv2D', ['b', 'w'], windowAttrs())
    .build('c');
  const precisions = (options: QuantizationOptions) => {
    const settings = settle(options, 'random');
    const plan = planQuantization(graph, { float: floatNodes(settings, graph) });
    return [...configuredPrecisions(settings, graph, plan)];
  };

  test('are those of the layers that are named, and int16 goes before', () => {
    expect(precisions({})).toEqual([]);
    expect(precisions({ dynamic: ['a', 'c'] })).toEqual([
      ['a', 'dynamic'],
      ['c', 'dynamic'],
    ]);
    expect(precisions({ dynamic: ['**'], int16: ['b'], skip: ['c'] })).toEqual([
      ['a', 'dynamic'],
      ['b', 'int16'],
    ]);
  });

  test('are those of the configuration, unless an option sets others', () => {
    const config: Config = {
      layers: [
        { match: '**', activations: 'dynamic' },
        { match: 'b', activations: 'int8' },
      ],
    };
    expect(precisions({ config })).toEqual([
      ['a', 'dynamic'],
      ['c', 'dynamic'],
    ]);
    expect(precisions({ config, int16: ['a'], dynamic: ['b'] })).toEqual([
      ['a', 'int16'],
      ['b', 'dynamic'],
      ['c', 'dynamic'],
    ]);
  });

  test('are refused for any layer where activations stay float32', () => {
    const weightOnly = (options: QuantizationOptions) => () =>
      settle({ ...options, activations: 'float32' }, undefined);
    const refusal = /option int16 or dynamic is about layers with INT8 activations/;
    expect(weightOnly({})).not.toThrow();
    expect(weightOnly({ config: { layers: [{ match: 'a', activations: 'int8' }] } })).not.toThrow();
    expect(weightOnly({ dynamic: ['a'] })).toThrow(refusal);
    expect(weightOnly({ int16: 1 })).toThrow(refusal);
  });

  test('have one name each', () => {
    expect(() => checkConfig({ layers: [{ match: 'a', activations: 'int4' }] }, 'config')).toThrow(
      /layers\[0\].activations: expected int8, int16 or dynamic/,
    );
    expect(() => settle({ dynamic: [''] }, 'random')).toThrow(/dynamic .*expected the name of a node/);
  });
});
