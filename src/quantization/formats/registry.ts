/** The formats by name. */
import { checkArgument } from '../../base/errors';
import type { Format, FormatName } from './format';
import { int4 } from './int4';
import { lloyd2 } from './lloyd2';
import { pi2, pi3 } from './pi';
import { trellis2 } from './trellis2';
import { uniform2, uniform3, uniform4 } from './uniform';

const ALL: readonly Format[] = [int4, uniform4, pi3, uniform3, pi2, uniform2, lloyd2, trellis2];

/** Names of all formats, the most bits first. */
export const FORMATS: readonly FormatName[] = ALL.map(({ name }) => name);

const byName: ReadonlyMap<string, Format> = new Map(ALL.map((format) => [format.name, format]));

/** @throws LowbitError 'invalid-argument' for a name that is none */
export function formatNamed(name: string): Format {
  const format = byName.get(name);
  checkArgument(format !== undefined, 'format', `one of ${FORMATS.join(', ')}`, name);
  return format;
}
