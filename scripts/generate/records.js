/** Numbers that cross the C ABI outside of programs: C structs, and what reads them from an array of JavaScript. */
const { HEADER, lineDoc, lowerSnake, upperSnake } = require('./text');

const typeOf = ({ type }) => (type === 'float' ? 'float' : 'int32_t');

function tensorTypes({ ENUMS }) {
  const values = Object.entries(ENUMS.TensorType.values);
  return `${lineDoc('TensorType of src/program.')}typedef enum {
${values.map(([name, { number }]) => `  LOWBIT_${upperSnake(name)} = ${number},`).join('\n')}
} lowbit_type;`;
}

function struct({ doc, c, fields }) {
  const members = Object.entries(fields).map(([key, field]) => `  ${typeOf(field)} ${lowerSnake(key)};`);
  return `${lineDoc(doc)}typedef struct {\n${members.join('\n')}\n} ${c};`;
}

function cRecords(schema) {
  return `${HEADER}
// Structs of the C ABI whose numbers the schema names.
#ifndef LOWBIT_RECORDS_H_
#define LOWBIT_RECORDS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

${tensorTypes(schema)}

${Object.values(schema.RECORDS).map(struct).join('\n\n')}

#ifdef __cplusplus
}
#endif
#endif
`;
}

function reader(name, { c, fields }) {
  const entries = Object.entries(fields);
  const lines = entries.map(
    ([key, field], i) => `  record.${lowerSnake(key)} = static_cast<${typeOf(field)}>(numbers[${i}]);`,
  );
  return `// ${name} of src/program/generated.ts.
constexpr size_t k${name}Count = ${entries.length};
static_assert(sizeof(${c}) == 4 * k${name}Count);

inline ${c} read${name}(const double* numbers) {
  ${c} record;
${lines.join('\n')}
  return record;
}`;
}

function nodeRecords({ RECORDS }) {
  return `${HEADER}
#pragma once
#include <cstddef>
#include <cstdint>

#include "lowbit-records.h"

${Object.entries(RECORDS)
  .map(([name, each]) => reader(name, each))
  .join('\n\n')}
`;
}

module.exports = { cRecords, nodeRecords };
