import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, checkConfig } from '../../../src/conversion/config/config';
import { readConfig } from '../../../src/conversion/config/config-file';
import { LayerRules } from '../../../src/conversion/config/layer-rules';
import { temporaryFolder } from '../../support/tiny-model';

describe('checkConfig', () => {
  test('takes what the format has', () => {
    const config: Config = {
      version: 1,
      calibration: { method: 'mse', percentile: 99.9, samples: 32 },
      regions: false,
      skip: ['head/**'],
      layers: [
        { match: 'a/*', bits: 8 },
        { match: 'b', bits: 'float' },
        { match: 'c', calibration: 'entropy' },
      ],
    };
    expect(checkConfig(config, 'it')).toEqual(config);
    expect(checkConfig({}, 'it')).toEqual({});
  });

  test.each<[unknown, RegExp]>([
    [
      { layers: [{ match: 'a', bits: 5 }] },
      /^it is no valid configuration: layers\[0\].bits: expected 8, 4, 3, 2 or 'float'\.$/,
    ],
    [{ calibration: { method: 'guess' } }, /calibration\.method: expected one of minmax, .*entropy/],
    [{ calibration: { percentile: 30 } }, /calibration\.percentile: .*50/],
    [{ calibration: { samples: 1.5 } }, /calibration\.samples: /],
    [{ layers: [{ bits: 8 }] }, /layers\[0\]\.match: expected the name of a node, or a pattern/],
    [{ skip: [''] }, /skip\[0\]: expected the name of a node, or a pattern/],
    [{ layer: [] }, /it is no valid configuration: .*"layer"/],
    [{ version: 2 }, /version: expected 1, the version of this format/],
    [{ skip: 'a', regions: 'no' }, /regions: .*; skip: /],
    [[], /expected object/],
  ])('refuses %j', (value, message) => {
    expect(() => checkConfig(value, 'it')).toThrow(message);
  });
});

test('a file that is missing or no JSON is named', async () => {
  await expect(readConfig('/no/such/lowbit.json')).rejects.toThrow(
    /Cannot read the configuration \/no\/such/,
  );
  const file = join(temporaryFolder(), 'lowbit.json');
  writeFileSync(file, '{"layers": ');
  await expect(readConfig(file)).rejects.toThrow(/Cannot read the configuration .*lowbit\.json: .*JSON/);
  writeFileSync(file, '{"layers": [{}]}');
  await expect(readConfig(file)).rejects.toThrow(
    /lowbit\.json is no valid configuration: layers\[0\]\.match/,
  );
});

describe('layer rules', () => {
  test('the last entry that matches decides, each field on its own', () => {
    const rules = new LayerRules({
      layers: [
        { match: '**', calibration: 'minmax', bits: 'float' },
        { match: 'body/**', bits: 8 },
        { match: 'body/a', calibration: 'mse' },
      ],
    });
    expect(['head', 'body/a', 'body/b'].map((name) => [rules.weightsOf(name), rules.methodOf(name)])).toEqual(
      [
        ['float', 'minmax'],
        ['int8', 'mse'],
        ['int8', 'minmax'],
      ],
    );
  });

  test('the last that says how weights are stored decides, whether by bits or by format', () => {
    const rules = new LayerRules({
      layers: [
        { match: '**', bits: 2, group: 64, rotate: true },
        { match: 'body/**', weights: 'pi3', rotate: false },
        { match: 'body/a', bits: 'float' },
        { match: 'body/b', bits: 3, weights: 'int4' },
      ],
    });
    const said = (name: string) => [rules.weightsOf(name), rules.groupOf(name), rules.rotateOf(name)];
    expect(['head', 'body/a', 'body/b', 'body/c'].map(said)).toEqual([
      ['trellis2', 64, true],
      ['float', 64, false],
      ['int4', 64, false],
      ['pi3', 64, false],
    ]);
  });

  test('a layer takes back what skip says', () => {
    const rules = new LayerRules({ skip: ['head/*'], layers: [{ match: 'head/a', bits: 8 }] });
    expect(['head/a', 'head/b', 'head/c/d', 'body'].map((name) => rules.weightsOf(name))).toEqual([
      'int8',
      'float',
      undefined,
      undefined,
    ]);
  });

  test('a name matches itself, whatever it is made of, and hidden parts are no exception', () => {
    const names = ['conv(1)', 'a[0]/b', 'x{y}', '.hidden/conv', 'a:0'];
    for (const name of names) expect(new LayerRules({ skip: [name] }).weightsOf(name)).toBe('float');
    expect(new LayerRules({ skip: ['**/conv'] }).weightsOf('.hidden/conv')).toBe('float');
  });

  test('tells the patterns that match nothing', () => {
    const rules = new LayerRules({ skip: ['a', 'b*'], layers: [{ match: 'c/**' }] });
    expect(rules.unmatched(['a', 'c/d'])).toEqual(['b*']);
  });
});
