/** What a function of the package can be told, its command can be told too. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { benchCommand } from '../../src/cli/bench';
import { compareCommand } from '../../src/cli/compare';
import { convertCommand } from '../../src/cli/convert';

const SOURCES = join(__dirname, '..', '..', 'src');

/** Names of the fields of an interface, by its declaration. */
function fieldsOf(file: string, name: string): string[] {
  const text = readFileSync(join(SOURCES, file), 'utf8');
  const [, body] = new RegExp(`export interface ${name} [^{]*{\n([^]*?)\n}\n`).exec(text)!;
  return [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[:(]/gm)].map(([, field]) => field);
}

/** Options of other names, or none where they only make sense in a program. */
const OPTIONS: Readonly<Record<string, string | undefined>> = {
  minSignalToNoise: '--min-snr',
  experts: '--experts',
  formats: '--experts',
  budget: '--expert-budget',
  labelled: '--records',
  imageOptions: '--image-size',
  regions: '--no-regions',
  memory: '--no-memory',
  onProgress: undefined,
  signal: undefined,
};

const flagOf = (field: string) =>
  field in OPTIONS ? OPTIONS[field] : `--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

test.each([
  ['convert', convertCommand, 'conversion/options/options.ts', 'QuantizationOptions', {}],
  ['convert', convertCommand, 'conversion/options/options.ts', 'ConvertOptions', {}],
  ['convert', convertCommand, 'conversion/options/options.ts', 'ExpertPackOptions', {}],
  ['convert', convertCommand, 'graph/samples.ts', 'ImageOptions', {}],
  ['compare', compareCommand, 'evaluation/compare.ts', 'CompareOptions', { samples: '--data' }],
  ['compare', compareCommand, 'graph/samples.ts', 'ImageOptions', {}],
  ['bench', benchCommand, 'evaluation/bench.ts', 'BenchOptions', { samples: '--data' }],
  ['bench', benchCommand, 'graph/samples.ts', 'ImageOptions', {}],
])(
  '%s has an option for each field that its function takes: %#',
  (_, command, file, name, others: Record<string, string>) => {
    const flags = command().options.flatMap(({ long }) => long ?? []);
    const fields = fieldsOf(file, name);
    expect(fields.length).toBeGreaterThan(1);
    const wanted = fields.flatMap((field) => others[field] ?? flagOf(field) ?? []);
    expect(wanted.filter((flag) => !flags.includes(flag))).toEqual([]);
  },
);

test.each([convertCommand, compareCommand, benchCommand])('data may be numbers, says its help', (command) => {
  expect(command().helpInformation().replace(/\s+/g, ' ')).toContain(
    'a number instead of a file, ratio=0.25 or state=0@1x16x16x8, is the same tensor in every sample',
  );
});
