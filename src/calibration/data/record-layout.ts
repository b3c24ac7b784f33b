import { LowbitError } from '../../base/errors';
import { RECORD_DTYPES, type RecordDType, type RecordLayout } from './records';

function wrong(field: string, expected: string, value: string): LowbitError {
  return new LowbitError(
    'invalid-argument',
    `Expected ${expected} for '${field}' in the record layout but received '${value}'.`,
  );
}

function wholeNumber(field: string, value: string): number {
  if (!/^\d+$/.test(value)) throw wrong(field, 'a number of bytes', value);
  return Number(value);
}

/** What each field of a layout's text means. */
const FIELDS: Readonly<Record<string, (value: string) => RecordLayout>> = {
  skip: (value) => ({ skip: wholeNumber('skip', value) }),
  label: (value) => ({ label: wholeNumber('label', value) }),
  dtype: (value) => {
    if (!RECORD_DTYPES.includes(value as RecordDType)) throw wrong('dtype', RECORD_DTYPES.join(', '), value);
    return { dtype: value as RecordDType };
  },
  shape: (value) => {
    if (!/^[1-9]\d*(x[1-9]\d*)*$/.test(value)) throw wrong('shape', 'sizes such as 32x32x3', value);
    return { shape: value.split('x').map(Number) };
  },
  layout: (value) => {
    if (value !== 'hwc' && value !== 'chw') throw wrong('layout', 'hwc or chw', value);
    return { layout: value };
  },
};

/**
 * Reads a record layout as the command line gives it: `label=1,dtype=uint8,shape=32x32x3,layout=chw`, every field optional.
 *
 * @throws LowbitError 'invalid-argument' naming the field
 */
export function parseRecordLayout(text: string): RecordLayout {
  const parts = text.split(',').filter((part) => part.trim() !== '');
  const fields = parts.map((part): RecordLayout => {
    const [name, value = ''] = part.split('=').map((side) => side.trim());
    const field = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
    if (field) return field(value);
    throw new LowbitError(
      'invalid-argument',
      `The record layout has the unknown field '${name}'; known: ${Object.keys(FIELDS).join(', ')}.`,
    );
  });
  return Object.assign({}, ...fields);
}
