/** src/program/generated.ts: enums, types of ops and their parameters, what writes and reads parameters as words. */
const { HEADER, jsDoc, upperSnake } = require('./text');

const number = (value) => {
  if (value === Number.NEGATIVE_INFINITY) return 'Number.NEGATIVE_INFINITY';
  return value === Number.POSITIVE_INFINITY ? 'Number.POSITIVE_INFINITY' : String(value);
};

const isOptional = (field) =>
  field.default !== undefined || field.optional === true || field.type === 'codeTable';

function typeOf(schema, field) {
  switch (field.type) {
    case 'bool':
      return 'boolean';
    case 'enum':
    case 'struct':
      return field.of;
    case 'size':
      return 'readonly [height: number, width: number]';
    case 'list':
      return `readonly ${typeOf(schema, field.of)}[]`;
    case 'filter': {
      const union = Object.entries(schema.FILTER_UNIONS).find(
        ([, { kinds }]) => String(kinds) === String(field.kinds),
      );
      return union ? union[0] : field.kinds.join(' | ');
    }
    default:
      return 'number';
  }
}

const members = (schema, fields) =>
  Object.entries(fields)
    .map(
      ([name, field]) =>
        `${jsDoc(field.doc)}${name}${isOptional(field) ? '?' : ''}: ${typeOf(schema, field)};`,
    )
    .join('\n');

function enumeration(name, { doc, byText, values }) {
  const entries = Object.entries(values);
  if (byText) {
    const texts = `export const ${upperSnake(name)}S = [${entries.map(([, { text }]) => `'${text}'`)}] as const;`;
    return `${jsDoc(doc)}${texts}\n\nexport type ${name} = (typeof ${upperSnake(name)}S)[number];`;
  }
  const lines = entries.map(([key, value]) => `${jsDoc(value.doc)}${key} = ${value.number},`);
  return `${jsDoc(doc)}export enum ${name} {\n${lines.join('\n')}\n}`;
}

function opKinds({ OPS }) {
  const kinds = OPS.flatMap(({ kinds }) => Object.entries(kinds)).sort(([, a], [, b]) => a.number - b.number);
  return `export enum OpKind {\n${kinds.map(([name, kind]) => `${name} = ${kind.number},`).join('\n')}\n}`;
}

function weightFormats({ WEIGHT_FORMATS, WEIGHT_FORMAT_DOC }) {
  const entries = Object.entries(WEIGHT_FORMATS);
  const lines = entries.map(([name, value]) => `${jsDoc(value.doc)}${name} = ${value.number},`);
  const bits = entries.map(([name, value]) => `[WeightFormat.${name}]: ${value.bits},`);
  const cases = entries.map(([name, { codes, bytes }]) => {
    const units = codes === 1 ? 'count' : `Math.ceil(count / ${codes})`;
    return `case WeightFormat.${name}: return ${bytes === 1 ? units : `${bytes} * ${units}`};`;
  });
  return `${jsDoc(WEIGHT_FORMAT_DOC)}export enum WeightFormat {
${lines.join('\n')}
}

/** Bits of a code. */
export const WEIGHT_BITS: Readonly<Record<WeightFormat, number>> = {
${bits.join('\n')}
};

/** Bytes of \`count\` weights of an output channel. */
export function filterRowBytes(format: WeightFormat, count: number): number {
  switch (format) {
${cases.join('\n')}
  }
}`;
}

const formatsOf = (kind) => kind.formats.map((format) => `WeightFormat.${format}`).join(' | ');

function filters(schema) {
  const { FILTERS, FILTER_FIELDS, FILTER_UNIONS } = schema;
  const kinds = Object.entries(FILTERS).map(([name, kind]) => {
    const named = kind.formatType ? `export type ${kind.formatType} = ${formatsOf(kind)};\n\n` : '';
    return `${named}${jsDoc(kind.doc)}export interface ${name} extends FilterPlace {
format: ${kind.formatType ?? formatsOf(kind)};
${members(schema, kind.fields)}
}`;
  });
  const unions = Object.entries(FILTER_UNIONS).map(
    ([name, { doc, kinds: of }]) => `${jsDoc(doc)}export type ${name} = ${of.join(' | ')};`,
  );
  return `/** Where a filter lies in the weights: byte offsets; those of bias and scales are 4-aligned. */
interface FilterPlace {
${members(schema, FILTER_FIELDS)}
}

${kinds.join('\n\n')}

${unions.join('\n\n')}`;
}

function struct(schema, name, { doc, tuple, fields }) {
  if (tuple) {
    const items = Object.entries(fields).map(([key, field]) => `${key}: ${typeOf(schema, field)}`);
    return `${jsDoc(doc)}export type ${name} = readonly [${items.join(', ')}];`;
  }
  return `${jsDoc(doc)}export interface ${name} {\n${members(schema, fields)}\n}`;
}

const kindsOf = (row) => Object.keys(row.kinds).map((kind) => `OpKind.${kind}`);

function ops(schema) {
  const groups = schema.OPS.filter((row) => row.group === 'Binary').map(
    (row) => `export type ${row.group}Kind = ${kindsOf(row).join(' | ')};`,
  );
  const rows = schema.OPS.map(
    (row) => `${jsDoc(row.doc)}| { kind: ${kindsOf(row).join(' | ')}; ${members(schema, row.fields)} }`,
  );
  return `${groups.join('\n\n')}

/** An op's kind and parameters. */
export type OpParameters =
${rows.join('\n')};`;
}

/** The statement that writes a field, whose value is `at`. */
function writing(field, at) {
  const orDefault = field.default === undefined ? at : `(${at} ?? ${number(field.default)})`;
  switch (field.type) {
    case 'bool':
      return `to.bool(${at}${field.default === undefined ? '' : ` ?? ${field.default}`});`;
    case 'float':
      return `to.float(${at}${field.default === undefined ? '' : ` ?? ${number(field.default)}`});`;
    case 'offset':
      return field.optional ? `to.optionalOffset(${at});` : `to.int(${at});`;
    case 'codeTable':
      return `to.optionalOffset(${at});`;
    case 'size':
      return field.default === undefined
        ? `to.size(${at});`
        : `to.size(${at} ?? [${field.default}, ${field.default}]);`;
    case 'struct':
      return `write${field.of}(to, ${at});`;
    case 'filter':
      return `writeFilter(to, ${at});`;
    case 'list': {
      const each = field.of.type === 'struct' ? `write${field.of.of}(to, each)` : 'to.int(each)';
      return `to.int(${at}.length);\nfor (const each of ${at}) ${each};`;
    }
    default:
      return `to.int(${orDefault.replace(/^\((.*)\)$/, '$1')});`;
  }
}

/** The expression that reads a field. */
function reading(field) {
  switch (field.type) {
    case 'bool':
      return 'from.bool()';
    case 'float':
      return 'from.float()';
    case 'uint32':
      return 'from.uint32()';
    case 'offset':
      return field.optional ? 'from.optionalOffset()' : 'from.int()';
    case 'codeTable':
      return 'from.optionalOffset()';
    case 'size':
      return 'from.size()';
    case 'struct':
      return `read${field.of}(from)`;
    case 'list':
      return `from.list(() => ${reading(field.of)})`;
    default:
      return 'from.int()';
  }
}

/** A filter's type follows from what the op takes; that its format is one of those, an engine checks. */
const readingOf = (schema, field) =>
  field.type === 'filter' ? `readFilter(from) as ${typeOf(schema, field)}` : reading(field);

function structCodec(name, { tuple, fields }) {
  const entries = Object.entries(fields);
  const names = entries.map(([key]) => key);
  const writes = entries.map(([key, field]) => writing(field, tuple ? key : `value.${key}`));
  const reads = entries.map(([key, field]) => (tuple ? reading(field) : `${key}: ${reading(field)}`));
  return `function write${name}(to: WordWriter, ${tuple ? `[${names}]` : 'value'}: ${name}): void {
${writes.join('\n')}
}

function read${name}(from: WordReader): ${name} {
return ${tuple ? `[${reads}]` : `{ ${reads} }`};
}`;
}

function filterCodec({ FILTERS, FILTER_FIELDS }) {
  const common = Object.entries(FILTER_FIELDS);
  const special = Object.values(FILTERS).filter(({ fields }) => Object.keys(fields).length > 0);
  const writes = special.map(({ fields }) => {
    const [first] = Object.keys(fields);
    return `if ('${first}' in value) {\n${Object.entries(fields)
      .map(([key, field]) => writing(field, `value.${key}`))
      .join('\n')}\n}`;
  });
  const reads = Object.values(FILTERS).map(({ formats, fields }) => {
    const cases = formats.map((format) => `case WeightFormat.${format}:`).join('\n');
    const own = Object.entries(fields).map(([key, field]) => `, ${key}: ${reading(field)}`);
    return `${cases}\nreturn { ...place, format${own.join('')} };`;
  });
  return `function writeFilter(to: WordWriter, value: FilterRef): void {
${common.map(([key, field]) => writing(field, `value.${key}`)).join('\n')}
to.int(value.format);
${writes.join('\n')}
}

function readFilter(from: WordReader): FilterRef {
const place = { ${common.map(([key, field]) => `${key}: ${reading(field)}`)} };
const format: WeightFormat = from.int();
switch (format) {
${reads.join('\n')}
}
throw from.unknown('weight format', format);
}`;
}

function opCodec(schema) {
  const cases = (row) =>
    kindsOf(row)
      .map((kind) => `case ${kind}:`)
      .join('\n');
  const writes = schema.OPS.map((row) => {
    const lines = Object.entries(row.fields).map(([key, field]) => writing(field, `op.${key}`));
    return `${cases(row)}\n${[...lines, 'return;'].join('\n')}`;
  });
  const reads = schema.OPS.map((row) => {
    const fields = Object.entries(row.fields).map(([key, field]) => `, ${key}: ${readingOf(schema, field)}`);
    return `${cases(row)}\nreturn { kind${fields.join('')} };`;
  });
  return `/** Appends the parameters of an op. */
export function writeParameters(to: WordWriter, op: OpParameters): void {
switch (op.kind) {
${writes.join('\n')}
}
}

/** Reads the parameters of an op of a kind. */
export function readParameters(from: WordReader, kind: OpKind): OpParameters {
switch (kind) {
${reads.join('\n')}
}
throw from.unknown('kind of op', kind);
}`;
}

function record(name, { doc, fields }) {
  const type = (field) => {
    if (field.type.enum) return field.type.enum;
    return field.type === 'bool' ? 'boolean' : 'number';
  };
  const entries = Object.entries(fields);
  const lines = entries.map(
    ([key, field]) => `${jsDoc(field.doc)}${field.mutable ? '' : 'readonly '}${key}: ${type(field)};`,
  );
  const value = (key, field) => {
    if (field.type.enum) return `${upperSnake(field.type.enum)}S.indexOf(value.${key})`;
    return field.type === 'bool' ? `Number(value.${key})` : `value.${key}`;
  };
  const writes = entries.map(([key, field], i) => `to[${i}] = ${value(key, field)};`);
  return `${jsDoc(doc)}export interface ${name} {
${lines.join('\n')}
}

/** Room for ${name}, as engines take them. */
export const new${name} = (): Float64Array => new Float64Array(${entries.length});

/** Writes them into such room. */
export function write${name}(to: Float64Array, value: ${name}): void {
${writes.join('\n')}
}`;
}

function programTypes(schema) {
  const structs = Object.entries(schema.STRUCTS);
  return `${HEADER}

import type { WordReader, WordWriter } from './words';

export const PROGRAM_MAGIC = 0x${schema.MAGIC.toString(16)};

export const PROGRAM_FORMAT_VERSION = ${schema.FORMAT_VERSION};

/** The first version whose tensor records have a word for granularity. */
export const GRANULARITY_VERSION = ${schema.GRANULARITY_VERSION};

${Object.entries(schema.ENUMS)
  .map(([name, each]) => enumeration(name, each))
  .join('\n\n')}

${opKinds(schema)}

${weightFormats(schema)}

${filters(schema)}

${structs.map(([name, each]) => struct(schema, name, each)).join('\n\n')}

${ops(schema)}

${structs.map(([name, each]) => structCodec(name, each)).join('\n\n')}

${filterCodec(schema)}

${opCodec(schema)}

${Object.entries(schema.RECORDS)
  .map(([name, each]) => record(name, each))
  .join('\n\n')}
`;
}

module.exports = { programTypes };
