// @needs engine
/**
 * The share of products in INT8 of the small models of ../shared/cases, printed for each set of options: where a case
 * says that layers are to be quantized, it is not enough that the model converts.
 */
import '@tensorflow/tfjs-backend-cpu';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ConvertReport, convert, type QuantizationOptions } from '../../src/convert';
import type { Sample } from '../../src/graph/ir';
import { describeWithShared, shared } from '../support/shared';
import { temporaryFolder } from '../support/tiny-model';

interface Written {
  readonly dtype: string;
  readonly shape: number[];
  readonly values: (number | string)[];
}

interface Case {
  readonly right: string;
  readonly options: QuantizationOptions[];
  readonly samples: Record<string, Written>[];
}

const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array };

function samplesOf({ samples }: Case): Sample[] {
  return samples.map((sample) =>
    Object.fromEntries(
      Object.entries(sample).map(([name, { dtype, shape, values }]) => {
        const array = ARRAYS[dtype as keyof typeof ARRAYS];
        return [name, { dtype, shape, values: array ? array.from(values.map(Number)) : values }];
      }),
    ),
  ) as unknown as Sample[];
}

async function convertCase(name: string, spec: Case, options: QuantizationOptions): Promise<ConvertReport> {
  const samples = samplesOf(spec);
  return convert({
    input: shared('cases', name, 'model', 'model.json'),
    output: join(temporaryFolder(), 'converted'),
    calibration: async function* () {
      yield* samples;
    },
    ...options,
  });
}

const folder = shared('cases');
const cases = existsSync(folder)
  ? readdirSync(folder).filter((name) => existsSync(join(folder, name, 'case.json')))
  : [];

const percent = (value: number) => `${value.toFixed(1)} %`.padStart(8);

describeWithShared('small models', () => {
  const rows: string[] = [];

  afterAll(() => {
    process.stdout.write(`${['    INT8    int16   in float  of products', ...rows].join('\n')}\n`);
  });

  test.each(cases)('%s', async (name) => {
    const spec: Case = JSON.parse(readFileSync(join(folder, name, 'case.json'), 'utf8'));
    for (const options of spec.options) {
      const { macs, float } = await convertCase(name, spec, options);
      const int16 = macs.integerPercent - macs.percent;
      const left = macs.floatProducts.length;
      rows.push(
        `${percent(macs.percent)} ${percent(int16)} ${`${left} of ${macs.products}`.padStart(10)}  ${name} ${JSON.stringify(options)}`,
      );
      // What stays in float tells why.
      for (const product of macs.floatProducts) expect(product.reason).not.toBe('');
      for (const { reason } of float) expect(reason).not.toBe('');
      if (!/\bquantized\b/.test(spec.right)) continue;
      expect({ name, options, percent: macs.integerPercent, left }).toEqual({
        name,
        options,
        percent: 100,
        left: 0,
      });
    }
  });
});
