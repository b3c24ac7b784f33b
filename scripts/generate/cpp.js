/** native/program and native/ops: enums, parameter structs with their readers, op rows and the dispatch to factories. */
const { HEADER, lineDoc, constantName, paramsName, structVariants } = require('./text');

/** Those that C++ has elsewhere: stdint.h, native/base/shape.h. */
const NATIVE_LIMITS = ['INT32_MAX', 'MAX_RANK'];

const kindsByNumber = ({ OPS }) =>
  OPS.flatMap((row) => Object.entries(row.kinds).map(([name, kind]) => ({ name, row, ...kind }))).sort(
    (a, b) => a.number - b.number,
  );

function enumeration(name, { doc, values }) {
  const lines = Object.entries(values).map(
    ([key, value]) => `${lineDoc(value.doc, '  ')}  k${key} = ${value.number},`,
  );
  return `${lineDoc(doc)}enum class ${name} : int32_t {\n${lines.join('\n')}\n};`;
}

/** What messages call the values of an enum. */
function names(name, { values }) {
  const cases = Object.entries(values).map(
    ([key, { text }]) => `    case ${name}::k${key}: return "${text}";`,
  );
  return `constexpr const char* nameOf(${name} value) {\n  switch (value) {\n${cases.join('\n')}\n  }\n  return "unknown";\n}`;
}

/** 0 to 4 or 16, of 0, 1, 2, 3, 4 and 16. */
function ranges(numbers) {
  const runs = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last && last.at(-1) === number - 1) last.push(number);
    else runs.push([number]);
  }
  return runs.map((run) => (run.length > 1 ? `${run[0]} to ${run.at(-1)}` : run[0])).join(' or ');
}

function weightFormats({ WEIGHT_FORMATS, WEIGHT_FORMAT_DOC, FILTERS }) {
  const entries = Object.entries(WEIGHT_FORMATS);
  const bits = entries.map(([name, value]) => `    case WeightFormat::k${name}: return ${value.bits};`);
  const anyOf = (names) =>
    `  switch (value) {\n${names.map((name) => `    case WeightFormat::k${name}:`).join('\n')} return true;\n    default: return false;\n  }`;
  const classes = Object.values(FILTERS)
    .filter(({ formatType }) => formatType)
    .map(
      ({ formatType, formats }) =>
        `constexpr bool is${formatType.replace(/Format$/, '')}(WeightFormat value) {\n${anyOf(formats)}\n}`,
    );
  const widths = new Map(entries.map(([, value]) => [value.bits, value]));
  const rows = [...widths.values()].map(({ bits: width, codes, bytes }) => {
    const units = codes === 1 ? 'count' : `ceilDiv(count, ${codes})`;
    return `    case ${width}: return ${bytes === 1 ? units : `${bytes} * ${units}`};`;
  });
  for (const [name, { bits: width, codes, bytes }] of entries) {
    const other = widths.get(width);
    if (other.codes !== codes || other.bytes !== bytes)
      throw new Error(`${name} packs ${width} bits otherwise.`);
  }
  return `${enumeration('WeightFormat', { doc: WEIGHT_FORMAT_DOC, values: WEIGHT_FORMATS })}

// For messages.
constexpr char kWeightFormatNumbers[] = "${ranges(entries.map(([, { number }]) => number))}";

constexpr bool isWeightFormat(int32_t number) {
  const auto value = static_cast<WeightFormat>(number);
${anyOf(entries.map(([name]) => name))}
}

${classes.join('\n\n')}

// Bits of a code.
constexpr int bitsOf(WeightFormat format) {
  switch (format) {
${bits.join('\n')}
  }
  return 0;
}

// Bytes of \`count\` weights of an output channel. Static: a copy compiled for one instruction set must not serve
// another.
static constexpr int64_t weightRowBytes(int bits, int64_t count) {
  switch (bits) {
${rows.join('\n')}
  }
  return 0;
}`;
}

function enums(schema) {
  const limits = Object.entries(schema.LIMITS)
    .filter(([name]) => !NATIVE_LIMITS.includes(name))
    .map(([name, value]) => `constexpr int32_t ${constantName(name)} = ${value};`);
  const kinds = kindsByNumber(schema);
  return `${HEADER}
#pragma once
#include <cstddef>
#include <cstdint>

#include "../base/ceil-div.h"

namespace lowbit {

constexpr int32_t kProgramMagic = 0x${schema.MAGIC.toString(16)};  // 'LBPQ'
constexpr int32_t kProgramVersion = ${schema.FORMAT_VERSION};
// The first version whose tensor records have a word for granularity.
constexpr int32_t kGranularityVersion = ${schema.GRANULARITY_VERSION};

${limits.join('\n')}

${Object.entries(schema.ENUMS)
  .map(
    ([name, each]) =>
      `${enumeration(name, each)}\nconstexpr int32_t k${name}Count = ${Object.keys(each.values).length};`,
  )
  .join('\n\n')}

${names('TensorType', schema.ENUMS.TensorType)}

${weightFormats(schema)}

enum class OpKind : int32_t {
${kinds.map(({ name, number }) => `  k${name} = ${number},`).join('\n')}
};
constexpr size_t kOpKindCount = ${kinds.length};

}  // namespace lowbit
`;
}

function bound(value) {
  if (typeof value === 'object') return value.cpp;
  if (typeof value === 'number') return String(value);
  return value === 'INT32_MAX' ? value : constantName(value);
}

/** The members of C++ that a field becomes. */
function membersOf(key, field) {
  const plain = (type, name = key) => [`${type} ${name};`];
  switch (field.type) {
    case 'uint32':
      return plain('uint32_t');
    case 'bool':
      return plain('bool');
    case 'float':
      return plain('float');
    case 'offset':
      return [`int64_t ${key};${field.optional ? '  // -1: none' : ''}`];
    case 'codeTable':
      return ['std::vector<uint8_t> table;  // 256 unsigned codes by unsigned code, or none'];
    case 'zeroPoint':
      return [`int32_t ${key};  // unsigned`];
    case 'enum':
    case 'struct':
      return plain(field.of);
    case 'size':
      return [`int32_t ${field.cpp}H, ${field.cpp}W;`];
    case 'filter':
      return plain('Filter');
    case 'list':
      return plain(`std::vector<${field.of.type === 'struct' ? field.of.of : 'int32_t'}>`);
    default:
      return plain('int32_t', field.cpp ?? key);
  }
}

/** What stands for the formats of a kind of filter. */
const formatsName = (kind) => `k${kind.replace(/Ref$/, 'Formats')}`;

/** The statements that read a field into \`value\`. */
function reading(key, field) {
  const word = (label, min, max) => `reader.word("${label}", ${bound(min)}, ${bound(max)})`;
  switch (field.type) {
    case 'uint32':
      return [`value.${key} = static_cast<uint32_t>(reader.word());`];
    case 'bool':
      return [`value.${key} = ${word(field.label, 0, 1)} == 1;`];
    case 'float':
      return [`value.${key} = reader.${field.positive ? 'positive' : 'real'}("${field.label}");`];
    case 'offset':
      return [`value.${key} = reader.word();`];
    case 'codeTable':
      return [`value.table = reader.optionalTable("${field.label}");`];
    case 'zeroPoint':
      return [`value.${key} = ${word(field.label, -128, 127)} + 128;`];
    case 'enum':
      return [
        `value.${key} = static_cast<${field.of}>(reader.word("${field.label}", 0, k${field.of}Count - 1));`,
      ];
    case 'struct':
      return [`value.${key} = read${field.variant?.name ?? field.of}(reader);`];
    case 'size':
      return [
        `value.${field.cpp}H = ${word(`${field.label} height`, field.min, field.max)};`,
        `value.${field.cpp}W = ${word(`${field.label} width`, field.min, field.max)};`,
      ];
    case 'filter': {
      const read = `readFilter(reader, ${field.kinds.map(formatsName).join(' | ')});`;
      const oneLine = `value.${key} = ${read}`;
      // Broken as the formatter breaks it.
      return [oneLine.length <= 118 ? oneLine : `value.${key} =\n      ${read}`];
    }
    case 'list': {
      const { min, max, label, of } = field;
      const element = of.type === 'struct' ? `read${of.of}(reader)` : word(of.label, of.min, of.max);
      return [
        `const int32_t count = ${word(label, min, max)};`,
        `for (int32_t i = 0; i < count; ++i) value.${key}.push_back(${element});`,
      ];
    }
    default:
      return [
        `value.${field.cpp ?? key} = ${field.label ? word(field.label, field.min, field.max) : 'reader.word()'};`,
      ];
  }
}

const structText = (name, doc, fields) =>
  `${lineDoc(doc)}struct ${name} {\n${Object.entries(fields)
    .flatMap(([key, field]) => membersOf(key, field))
    .map((line) => `  ${line}`)
    .join('\n')}\n};`;

/** The one struct for filters of all formats. */
function filterStruct({ FILTER_FIELDS, FILTERS }) {
  const fields = { ...FILTER_FIELDS };
  const lines = Object.entries(fields).flatMap(([key, field]) => membersOf(key, field));
  const special = Object.values(FILTERS).filter((kind) => Object.keys(kind.fields).length > 0);
  return `struct Filter {
${lines.map((line) => `  ${line}`).join('\n')}
  WeightFormat format;
${special
  .flatMap((kind) => [
    `  // Of ${kind.formats.join(', ')} only.`,
    ...Object.entries(kind.fields).flatMap(([key, field]) =>
      membersOf(key, field).map((line) => `  ${line}`),
    ),
  ])
  .join('\n')}
};`;
}

const withFields = ({ OPS }) => OPS.filter((row) => Object.keys(row.fields).length > 0);

function opRows(schema) {
  const rows = kindsByNumber(schema).map(({ name, label = name, since, row: { inputs } }) => {
    const [least, most] = inputs.atLeast === undefined ? [inputs, inputs] : [inputs.atLeast, 'kAnyNumber'];
    return `    {OpKind::k${name}, "${label}", ${least}, ${most}, ${since}},`;
  });
  return `struct OpRow {
  OpKind kind;
  const char* name;  // for messages
  size_t minInputs, maxInputs;
  int32_t since;  // format version
};

constexpr size_t kAnyNumber = SIZE_MAX;

inline constexpr OpRow kOps[] = {
${rows.join('\n')}
};
static_assert(std::size(kOps) == kOpKindCount);

// Null for a number that no op has.
constexpr const OpRow* findOp(int32_t kind) {
  for (const OpRow& row : kOps) {
    if (static_cast<int32_t>(row.kind) == kind) return &row;
  }
  return nullptr;
}`;
}

function params(schema) {
  const structs = Object.entries(schema.STRUCTS).map(([name, { doc, fields }]) =>
    structText(name, doc, fields),
  );
  const rows = withFields(schema).map((row) => structText(`${paramsName(row)}Params`, row.doc, row.fields));
  const readers = withFields(schema).map(
    (row) => `${paramsName(row)}Params read${paramsName(row)}Params(OpReader& reader);`,
  );
  return `${HEADER}
#pragma once
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <vector>

#include "../base/shape.h"
#include "enums.h"

namespace lowbit {

static_assert(kMaxRank == ${schema.LIMITS.MAX_RANK});

class OpReader;

${filterStruct(schema)}

${structs.join('\n\n')}

${rows.join('\n\n')}

// Read all parameters of an op and check them as far as the schema tells.
${readers.join('\n')}

${opRows(schema)}

}  // namespace lowbit
`;
}

function structReader(name, type, { fields, check }) {
  const lines = Object.entries(fields).flatMap(([key, field]) => reading(key, field));
  return `${type} read${name}(OpReader& reader) {
  ${type} value{};
${[...lines, ...(check ? ['check(reader, value);'] : []), 'return value;'].map((line) => `  ${line}`).join('\n')}
}`;
}

function filterReader(schema) {
  const { FILTER_FIELDS, FILTERS } = schema;
  const lines = Object.entries(FILTER_FIELDS).flatMap(([key, field]) => reading(key, field));
  const special = Object.values(FILTERS).filter((kind) => Object.keys(kind.fields).length > 0);
  const plain = Object.values(FILTERS).filter((kind) => Object.keys(kind.fields).length === 0);
  const cases = (kinds) =>
    kinds.flatMap((kind) => kind.formats.map((format) => `    case WeightFormat::k${format}:`)).join('\n');
  const masks = Object.entries(FILTERS).map(([name, kind]) => {
    const bits = kind.formats.map((format) => `formatBit(WeightFormat::k${format})`);
    const start = `constexpr uint32_t ${formatsName(name)} = `;
    const pairs = bits.map((_, i) => bits.slice(i, i + 2).join(' | ')).filter((_, i) => i % 2 === 0);
    return `${start}${pairs.join(` |\n${' '.repeat(start.length)}`)};`;
  });
  const fieldsCase = (kind) => {
    const lines = Object.entries(kind.fields).flatMap(([key, field]) => reading(key, field));
    const oneLine = `${cases([kind])} ${lines.join(' ')} break;`;
    // As the formatter has it.
    if (kind.formats.length === 1 && lines.length === 1 && oneLine.length <= 120) return oneLine;
    return [cases([kind]), ...[...lines, 'break;'].map((line) => `      ${line}`)].join('\n');
  };
  return `${masks.join('\n')}

// \`allowed\`: the formats that an op takes, by their bits.
Filter readFilter(OpReader& reader, uint32_t allowed) {
  Filter value{};
${lines.map((line) => `  ${line}`).join('\n')}
  value.format = readWeightFormat(reader, allowed);
  switch (value.format) {
${cases(plain)} break;
${special.map(fieldsCase).join('\n')}
  }
  return value;
}`;
}

function opReader(row) {
  const name = `${paramsName(row)}Params`;
  const lines = Object.entries(row.fields).flatMap(([key, field]) => reading(key, field));
  return `${name} read${name}(OpReader& reader) {
  ${name} value{};
${[...lines, 'return value;'].map((line) => `  ${line}`).join('\n')}
}`;
}

function paramsReaders(schema) {
  const variants = structVariants(schema).map(({ of, variant }) =>
    structReader(variant.name, of, { ...schema.STRUCTS[of], fields: variant.fields }),
  );
  // What others hold comes first.
  const order = Object.entries(schema.STRUCTS).sort(([, a], [, b]) => Number(holds(a)) - Number(holds(b)));
  const structs = order.map(([name, each]) => structReader(name, name, each));
  return `${HEADER}
#include "params.h"

#include "checks.h"
#include "op-reader.h"

namespace lowbit {
namespace {

${[...structs, ...variants, filterReader(schema)].join('\n\n')}

}  // namespace

${withFields(schema).map(opReader).join('\n\n')}

}  // namespace lowbit
`;
}

const holds = ({ fields }) => Object.values(fields).some(({ type }) => type === 'struct');

function factoryParameters(row) {
  const parameters = ['OpReader&'];
  if (Object.keys(row.fields).length > 0) parameters.push(`const ${paramsName(row)}Params&`);
  if (row.inputs.atLeast !== undefined) parameters.push('const std::vector<Tensor>& inputs');
  if (row.inputs === 1) parameters.push('const Tensor& input');
  if (row.inputs === 2) parameters.push('const Tensor& a', 'const Tensor& b');
  return [...parameters, 'const Tensor& output'];
}

/** A declaration, broken as the formatter breaks it. */
function declaration(name, parameters) {
  const start = `std::unique_ptr<Operator> ${name}(`;
  const lines = [start];
  parameters.forEach((parameter, i) => {
    const piece = parameter + (i < parameters.length - 1 ? ',' : ');');
    const last = lines.length - 1;
    const space = i === 0 ? '' : ' ';
    if (lines[last].length + space.length + piece.length <= 120) {
      lines[last] += space + piece;
    } else {
      lines.push(' '.repeat(start.length) + piece);
    }
  });
  return lines.join('\n');
}

function factories(schema) {
  const declarations = kindsByNumber(schema).map(({ name, row }) =>
    declaration(`make${name}`, factoryParameters(row)),
  );
  return `${HEADER}
// The factories of all ops: each checks what the schema does not tell of its tensors and parameters, and packs its
// weights.
#pragma once
#include <memory>
#include <vector>

#include "../program/op-reader.h"
#include "../program/params.h"
#include "../program/tensor.h"
#include "operator.h"

namespace lowbit {

// Reads the parameters of an op and makes it. \`inputs\`: as many as its row says.
std::unique_ptr<Operator> makeOperator(OpKind kind, OpReader& reader, const std::vector<Tensor>& inputs,
                                       const Tensor& output);

${declarations.join('\n')}

}  // namespace lowbit
`;
}

function dispatch(schema) {
  const cases = kindsByNumber(schema).map(({ name, row }) => {
    const inputs = { 0: [], 1: ['inputs[0]'], 2: ['inputs[0]', 'inputs[1]'] }[row.inputs] ?? ['inputs'];
    const own = Object.keys(row.fields).length > 0;
    const passed = ['reader', ...(own ? [`read${paramsName(row)}Params(reader)`] : []), ...inputs, 'output'];
    const made = `return make${name}(${passed.join(', ')});`;
    const oneLine = `    case OpKind::k${name}: ${made}`;
    return oneLine.length <= 120 ? oneLine : `    case OpKind::k${name}:\n      ${made}`;
  });
  return `${HEADER}
#include "factories.h"

namespace lowbit {

std::unique_ptr<Operator> makeOperator(OpKind kind, OpReader& reader, const std::vector<Tensor>& inputs,
                                       const Tensor& output) {
  switch (kind) {
${cases.join('\n')}
  }
  fail(LOWBIT_INVALID_PROGRAM, "%s: has an unknown kind.", reader.label().c_str());
}

}  // namespace lowbit
`;
}

module.exports = { enums, params, paramsReaders, factories, dispatch };
