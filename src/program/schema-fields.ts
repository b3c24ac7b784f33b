/** The vocabulary of schema.ts: what a field of a struct or an op may be. */

/** A number, the name of a limit of the schema, or an expression over the fields before. */
export type Bound = number | string | { readonly cpp: string };

interface Documented {
  readonly doc?: string;
}

/** A signed 32-bit integer; without a label nothing is checked when it is read. */
export interface IntField extends Documented {
  readonly type: 'int';
  /** What messages call it. */
  readonly label?: string;
  readonly min?: Bound;
  readonly max?: Bound;
  /** What it is where TypeScript leaves it out. */
  readonly default?: number;
  /** Its name in C++, where that differs. */
  readonly cpp?: string;
}

/** An int8 code's zero point, -128 to 127; engines hold it as an unsigned code, 128 more. */
export interface ZeroPointField extends Documented {
  readonly type: 'zeroPoint';
  readonly label: string;
  readonly default?: number;
}

export interface Uint32Field extends Documented {
  readonly type: 'uint32';
}

/** 0 or 1. */
export interface BoolField extends Documented {
  readonly type: 'bool';
  readonly label: string;
  readonly default?: boolean;
}

/** The bits of a float32 that is not NaN. */
export interface FloatField extends Documented {
  readonly type: 'float';
  readonly label: string;
  /** Above 0 and finite. */
  readonly positive?: boolean;
  readonly default?: number;
}

/** A byte offset in the weights; `optional`: -1 where TypeScript leaves it out. */
export interface OffsetField extends Documented {
  readonly type: 'offset';
  readonly optional?: boolean;
}

/** The byte offset of 256 int8 codes, -1 for none; engines read the codes at once. */
export interface CodeTableField extends Documented {
  readonly type: 'codeTable';
  readonly label: string;
}

export interface EnumField extends Documented {
  readonly type: 'enum';
  readonly of: string;
  readonly label: string;
}

/** [height, width]: two words. */
export interface SizeField extends Documented {
  readonly type: 'size';
  readonly label: string;
  readonly min: number;
  readonly max: string;
  readonly default?: number;
  /** In C++ two members, with H and W at the end of this name. */
  readonly cpp: string;
}

export interface StructField extends Documented {
  readonly type: 'struct';
  readonly of: string;
  /** Reads it under this name, with other fields in place of its own. */
  readonly variant?: { readonly name: string; readonly fields: Fields };
}

/** A filter of one of these kinds of `FILTERS`. */
export interface FilterField extends Documented {
  readonly type: 'filter';
  readonly kinds: readonly string[];
}

/** A count, and as many elements. In the bounds of an element, `count` is that count. */
export interface ListField extends Documented {
  readonly type: 'list';
  readonly label: string;
  readonly min: number;
  readonly max: string;
  readonly of: IntField | StructField;
}

export type Field =
  | IntField
  | ZeroPointField
  | Uint32Field
  | BoolField
  | FloatField
  | OffsetField
  | CodeTableField
  | EnumField
  | SizeField
  | StructField
  | FilterField
  | ListField;

/** In the order of the words. */
export type Fields = Readonly<Record<string, Field>>;

export interface Struct {
  readonly doc?: string;
  readonly fields: Fields;
  /** In TypeScript a tuple of its fields. */
  readonly tuple?: boolean;
  /** C++ checks it as a whole too: `check(reader, value)` of native/program/checks.h. */
  readonly check?: boolean;
}

export interface EnumValue {
  readonly number: number;
  readonly doc?: string;
  /** What messages call it. */
  readonly text?: string;
}

export interface Enumeration {
  readonly doc: string;
  /** TypeScript knows the values by their texts; their numbers count from 0. */
  readonly byText?: boolean;
  readonly values: Readonly<Record<string, EnumValue>>;
}

/** How weights are stored: so many codes in so many bytes, rows filled up to whole ones. */
export interface StoredWeights {
  readonly number: number;
  readonly bits: number;
  readonly codes: number;
  readonly bytes: number;
  readonly doc?: string;
}

export interface FilterKind {
  readonly doc: string;
  readonly formats: readonly string[];
  /** Names the type of these formats. */
  readonly formatType?: string;
  /** After the fields that all filters have. */
  readonly fields: Fields;
}

export interface Kind {
  readonly number: number;
  /** What messages call it, if not by its name. */
  readonly label?: string;
  /** The format version that it came with. */
  readonly since: number;
}

/** Ops that take the same parameters. */
export interface OpRow {
  readonly kinds: Readonly<Record<string, Kind>>;
  /** Names the parameters where there are several kinds; the kinds, with `Kind` at the end, as a type. */
  readonly group?: string;
  readonly doc: string;
  /** How many tensors it reads, or the least number of them. */
  readonly inputs: number | { readonly atLeast: number };
  readonly fields: Fields;
}

/** Numbers that cross the C ABI together, outside of programs. */
export interface NumberRecord {
  readonly doc: string;
  /** The C struct. */
  readonly c: string;
  readonly fields: Readonly<Record<string, NumberField>>;
}

export interface NumberField extends Documented {
  readonly type: 'int' | 'bool' | 'float' | { readonly enum: string };
  /** May change from call to call. */
  readonly mutable?: boolean;
}

type Options<F, K extends keyof F> = Omit<F, 'type' | K>;

export const int = (
  label: string,
  min: Bound,
  max: Bound,
  options: Options<IntField, 'label' | 'min' | 'max'> = {},
): IntField => ({ type: 'int', label, min, max, ...options });

export const anyInt = (doc: string): IntField => ({ type: 'int', doc });

export const uint32 = (doc: string): Uint32Field => ({ type: 'uint32', doc });

export const zeroPoint = (label: string, defaultValue: number): ZeroPointField => ({
  type: 'zeroPoint',
  label,
  default: defaultValue,
});

export const bool = (label: string, defaultValue?: boolean): BoolField => ({
  type: 'bool',
  label,
  default: defaultValue,
});

export const float = (label: string, options: Options<FloatField, 'label'> = {}): FloatField => ({
  type: 'float',
  label,
  ...options,
});

export const offset = (doc?: string): OffsetField => ({ type: 'offset', doc });

export const optionalOffset = (doc: string): OffsetField => ({ type: 'offset', optional: true, doc });

export const codeTable = (label: string, doc: string): CodeTableField => ({ type: 'codeTable', label, doc });

export const enumOf = (of: string, label: string): EnumField => ({ type: 'enum', of, label });

export const size = (
  label: string,
  min: number,
  max: string,
  options: Options<SizeField, 'label' | 'min' | 'max' | 'cpp'> & { cpp?: string } = {},
): SizeField => ({ type: 'size', label, min, max, cpp: label, ...options });

export const structOf = (of: string, variant?: StructField['variant']): StructField => ({
  type: 'struct',
  of,
  variant,
});

export const filterOf = (...kinds: string[]): FilterField => ({ type: 'filter', kinds });

export const list = (label: string, min: number, max: string, of: ListField['of']): ListField => ({
  type: 'list',
  label,
  min,
  max,
  of,
});
