/**
 * The op schema: everything that a quantized program can hold, each fact once.
 *
 * `npm run generate` makes from it the types, encoder and decoder in TypeScript (generated.ts) and the enums, parameter
 * structs, readers with range checks and the dispatch in C++ (native/program, native/ops). To add an op, add a row to
 * `OPS`, generate, and write the factory that the compiler then misses.
 */
import {
  anyInt,
  bool,
  codeTable,
  type Enumeration,
  enumOf,
  type FilterKind,
  filterOf,
  float,
  int,
  list,
  type NumberRecord,
  type OpRow,
  offset,
  optionalOffset,
  type StoredWeights,
  type Struct,
  size,
  structOf,
  uint32,
  zeroPoint,
} from './schema-fields';

/** 'LBPQ', little-endian. */
export const MAGIC = 0x5150424c;

/**
 * 1: ops up to Lookup; 2: ops up to Rotate, and float32 outputs of AvgPool and Lookup; 3: low-bit and int16 filters, ops on
 * float32; 4: dynamic int8 codes, and float32 outputs of DepthwiseConv2D; 5: the granularity of dynamic codes has a word of
 * its own in the record of every tensor, where it lay in that of the zero point; LayerNormalization; 6: int16 filters
 * stored in 8 bits.
 */
export const FORMAT_VERSION = 6;

/** The first version whose tensor records have a word for granularity. */
export const GRANULARITY_VERSION = 5;

export const LIMITS = {
  MAX_RANK: 8,
  MAX_CHANNELS: 2 ** 20,
  /** Of weights that stay as they are stored. */
  MAX_FEATURES: 2 ** 24,
  MAX_WINDOW: 2 ** 15,
  MAX_EXTENT: 2 ** 24,
  MAX_BLOCK: 2 ** 15,
  MAX_ROTATION_BLOCK: 4096,
  INT32_MAX: 2 ** 31 - 1,
};

export const ENUMS = {
  TensorType: {
    doc: 'Element types of program tensors. `int32` carries int8 codes across the TF.js border, one code an element.',
    values: {
      Float32: { number: 0, text: 'float32' },
      Int8: { number: 1, text: 'int8' },
      Int16: { number: 2, text: 'int16' },
      Int32: { number: 3, text: 'int32' },
      DynamicInt8: { number: 4, text: 'dynamic int8' },
    },
  },
  Granularity: {
    doc: 'What has a scale and a zero point of its own in a tensor of dynamic int8 codes.',
    values: {
      Sample: { number: 0 },
      Row: { number: 1, doc: 'All but the last axis: a pixel of an image.' },
      Channel: { number: 2, doc: 'An entry of the last axis, in one sample.' },
    },
  },
  PaddingMode: {
    doc: "TensorFlow's `padding` of windows.",
    values: { Explicit: { number: 0 }, Same: { number: 1 }, Valid: { number: 2 } },
  },
  PadMode: {
    doc: 'What padding is made of: one code; or the elements near the border, mirrored without the outermost one or with it.',
    values: { Constant: { number: 0 }, Reflect: { number: 1 }, Symmetric: { number: 2 } },
  },
  FloatFunctionKind: {
    doc: 'Functions of float32 values; Swish: x * sigmoid(x).',
    values: {
      Sigmoid: { number: 0 },
      Tanh: { number: 1 },
      Elu: { number: 2 },
      Abs: { number: 3 },
      Swish: { number: 4 },
    },
  },
  ExpertActivation: {
    doc: 'Between the linear layers of an expert. `silu`: x * sigmoid(x); `gelu`: by its tanh approximation.',
    byText: true,
    values: {
      None: { number: 0, text: 'none' },
      Relu: { number: 1, text: 'relu' },
      Silu: { number: 2, text: 'silu' },
      Gelu: { number: 3, text: 'gelu' },
    },
  },
} as const satisfies Record<string, Enumeration>;

export const WEIGHT_FORMAT_DOC = `How the filter of an op is stored. All but Int8, Int16 and OffsetInt8 are rows of codes (one row an output channel, beginning on a
byte), which a table turns into small integers, the levels:

\`\`\`
Codebook2   4 codes a byte, the first in the lowest bits          level = levels[code]
Codebook3   8 codes in 3 bytes, a little-endian word of 24 bits   level = levels[code]
Codebook4   2 codes a byte, the first in the lower half           level = levels[code]
Trellis2    as Codebook2           level of k = levels[code of k - 4 | code of k << 2]; codes before the row are 0
\`\`\`
Codes past the end of a row are 0. Real weight: level * (scale * unit), with the scale of its row and group.`;

/** Rows of weights of an output channel. */
export const WEIGHT_FORMATS: Readonly<Record<string, StoredWeights>> = {
  Int8: { number: 0, bits: 8, codes: 1, bytes: 1 },
  Codebook2: { number: 1, bits: 2, codes: 4, bytes: 1 },
  Codebook3: { number: 2, bits: 3, codes: 8, bytes: 3 },
  Codebook4: { number: 3, bits: 4, codes: 2, bytes: 1 },
  Trellis2: { number: 4, bits: 2, codes: 4, bytes: 1 },
  Int16: {
    number: 16,
    bits: 16,
    codes: 1,
    bytes: 2,
    doc: 'int16, of an op with an int16 input: bias is float32, and sum |w| a channel at most 65536.',
  },
  OffsetInt8: {
    number: 17,
    bits: 8,
    codes: 1,
    bytes: 1,
    doc: 'int16 weights, of which those of a channel are at most 255 apart: int8 codes less a zero point of the channel.',
  },
};

/** The words that every filter begins with, before those of its kind. */
export const FILTER_FIELDS = {
  filterOffset: offset(),
  biasOffset: optionalOffset('Absent: no bias.'),
  scaleOffset: offset(),
};

/** Offsets are in bytes; those of bias and scales are 4-aligned. The format comes after the fields of all filters. */
export const FILTERS: Readonly<Record<string, FilterKind>> = {
  Int8FilterRef: {
    doc: 'Bias int32 at s_in * s_w[c], or float32 in real units for a dynamic input; one float32 scale per output channel.',
    formats: ['Int8'],
    fields: {},
  },
  LowBitFilterRef: {
    doc: `A filter of 2, 3 or 4 bits a weight, of Linear and of a Conv2D with 1x1 kernel, no dilation and one group.
\`filterOffset\` is 4-aligned. Bias float32, in real units. Scales [outputs][groups]: float16, one with
its sign set stands for 2^-30 times its magnitude.`,
    formats: ['Codebook2', 'Codebook3', 'Codebook4', 'Trellis2'],
    formatType: 'LowBitFormat',
    fields: {
      levelsOffset: offset('Of 16 int8 levels in [-63, 63]; those that no code stands for are 0.'),
      group: anyInt(
        'How many neighbouring inputs share a scale: a multiple of 32, the last group may be short; 0: the whole row.',
      ),
      unit: float('unit of the filter scales', { doc: 'Positive.' }),
    },
  },
  Int16FilterRef: {
    doc: 'Of an op with an int16 input; one float32 bias, in real units, and one float32 scale per output channel.',
    formats: ['Int16'],
    fields: {},
  },
  OffsetInt8FilterRef: {
    doc: 'The same as int8 codes: weight = code - zero point of its output channel.',
    formats: ['OffsetInt8'],
    fields: { zeroPointOffset: offset('Of one int16 zero point per output channel; 4-aligned.') },
  },
};

/** Names for what ops take several of. */
export const FILTER_UNIONS = {
  StoredFilterRef: {
    doc: 'What any op takes that decodes weights on its own.',
    kinds: ['Int8FilterRef', 'LowBitFilterRef'],
  },
  FilterRef: {
    doc: 'Any filter.',
    kinds: ['Int8FilterRef', 'LowBitFilterRef', 'Int16FilterRef', 'OffsetInt8FilterRef'],
  },
};

const WINDOW = {
  kernel: size('kernel', 1, 'MAX_WINDOW'),
  strides: size('stride', 1, 'MAX_WINDOW'),
  dilations: size('dilation', 1, 'MAX_WINDOW', { default: 1 }),
  padding: structOf('Padding'),
};

export const STRUCTS: Readonly<Record<string, Struct>> = {
  Activation: {
    doc: `A pointwise function fused into the store of an op.

Without a table, the result is requantized to the output tensor's scale and zero point and clamped to
[codeMin, codeMax]. With a table, it is requantized to (preScale, preZeroPoint), clamped, and the code looked up:
\`table[code + 128]\` is the int8 output code. An op with a float32 output clamps the real value to
[floatMin, floatMax] instead and takes no table.`,
    fields: {
      codeMin: int('least output code', -128, 127, { default: -128 }),
      codeMax: int('greatest output code', { cpp: 'value.codeMin' }, 127, { default: 127 }),
      tableOffset: codeTable('activation table', 'Byte offset in the weights of 256 int8 codes.'),
      preScale: float('scale before the table', { positive: true, default: 1 }),
      preZeroPoint: zeroPoint('zero point before the table', 0),
      floatMin: float('least output', { default: Number.NEGATIVE_INFINITY }),
      floatMax: float('greatest output', { default: Number.POSITIVE_INFINITY }),
    },
  },
  Padding: {
    fields: {
      mode: enumOf('PaddingMode', 'padding mode'),
      top: int('padding top', 0, 'MAX_WINDOW', { default: 0 }),
      bottom: int('padding bottom', 0, 'MAX_WINDOW', { default: 0 }),
      left: int('padding left', 0, 'MAX_WINDOW', { default: 0 }),
      right: int('padding right', 0, 'MAX_WINDOW', { default: 0 }),
    },
  },
  Window: { fields: WINDOW, check: true },
  AxisPadding: {
    tuple: true,
    fields: {
      before: int('padding before', 0, 'MAX_EXTENT'),
      after: int('padding after', 0, 'MAX_EXTENT'),
    },
  },
  SliceRange: {
    doc: 'Elements of an axis; size -1: to the end.',
    fields: {
      begin: int('begin', 0, 'INT32_MAX'),
      size: int('size', -1, 'INT32_MAX'),
      stride: int('stride', 1, 'INT32_MAX'),
    },
    check: true,
  },
  ResizeSize: {
    doc: "As TensorFlow's resizing ops have it; corners and centers are not aligned both.",
    fields: {
      height: int('height', 1, 'MAX_EXTENT'),
      width: int('width', 1, 'MAX_EXTENT'),
      alignCorners: bool('align corners'),
      halfPixelCenters: bool('half pixel centers'),
    },
    check: true,
  },
  Rotation: {
    doc: `A randomised block-Hadamard rotation of rows, x' = H_b D x / sqrt(b) on every block of b elements: the signs of D first,
then butterflies a + b, a - b over elements 1, 2, 4, ... apart, then one multiplication; the inverse is
D H_b x / sqrt(b). A row is cut into as many full blocks as fit and ever smaller powers of two (100 with blocks of 64:
64, 32, 4). Element i is negated where bit i % 32 of the word floor(i / 32) is set; word j is the finalizer of
MurmurHash3 of seed + 0x9e3779b9 * (j + 1), modulo 2^32.`,
    fields: {
      depth: int('depth', 1, 'MAX_CHANNELS', { doc: 'Elements of a row.' }),
      block: int('block', 2, 'MAX_ROTATION_BLOCK', { doc: 'A power of two from 2 to 4096.' }),
      seed: uint32('An unsigned 32-bit integer.'),
      inverse: bool('inverse', false),
    },
    check: true,
  },
  Grid: {
    doc: 'Equally spaced values, 256 of them, with zero among or between them.',
    fields: { first: float('first value of the grid'), step: float('step of the grid') },
  },
};

const activation = structOf('Activation');
const window = structOf('Window');
/** A kernel of [0, 0] is the whole image. */
const poolWindow = structOf('Window', {
  name: 'PoolWindow',
  fields: { ...WINDOW, kernel: size('kernel', 0, 'MAX_WINDOW') },
});
const channels = int('channels', 1, 'MAX_CHANNELS');
const inChannels = int('input channels', 1, 'MAX_CHANNELS');
const outChannels = int('output channels', 1, 'MAX_CHANNELS');

/** Numbers never change; a new op takes the next one. */
export const OPS: readonly OpRow[] = [
  {
    kinds: {
      Quantize: { number: 1, since: 1 },
      Dequantize: { number: 2, since: 1 },
      Cast: { number: 3, since: 1 },
    },
    group: 'Border',
    doc: 'Between float32 and int8 codes; Cast: between int8 codes and int32 elements that hold them.',
    inputs: 1,
    fields: {},
  },
  {
    kinds: { Conv2D: { number: 4, since: 1, label: 'QuantizedConv2D' } },
    doc: 'Filter [outChannels, kernel h, kernel w, inChannels / groups]. Output int8 or float32.',
    inputs: 1,
    fields: {
      filter: filterOf('Int8FilterRef', 'LowBitFilterRef', 'Int16FilterRef', 'OffsetInt8FilterRef'),
      inChannels,
      outChannels,
      groups: int('groups', 1, 'MAX_CHANNELS'),
      window,
      activation,
    },
  },
  {
    kinds: { DepthwiseConv2D: { number: 5, since: 1, label: 'QuantizedDepthwise' } },
    doc: `Filter [kernel h, kernel w, channels * multiplier]; output channel c * multiplier + j reads input channel c. Output int8
or float32. A dynamic input has the granularity Channel; that of Conv2D is Sample, or Row for a 1x1 kernel without
strides and padding; that of Linear is Row.`,
    inputs: 1,
    fields: {
      filter: filterOf('Int8FilterRef', 'Int16FilterRef', 'OffsetInt8FilterRef'),
      channels,
      multiplier: int('channel multiplier', 1, { cpp: 'kMaxChannels / value.channels' }),
      window,
      activation,
    },
  },
  {
    kinds: { Linear: { number: 6, since: 1, label: 'QuantizedLinear' } },
    doc: 'Filter [outFeatures, inFeatures], on the last axis. Output int8 or float32.',
    inputs: 1,
    fields: {
      filter: filterOf('Int8FilterRef', 'LowBitFilterRef', 'Int16FilterRef', 'OffsetInt8FilterRef'),
      inFeatures: int('input features', 1, 'MAX_CHANNELS'),
      outFeatures: int('output features', 1, 'MAX_CHANNELS'),
      activation,
    },
  },
  {
    kinds: { MaxPool: { number: 7, since: 1, label: 'QuantizedMaxPool' } },
    doc: 'Kernel [0, 0]: global. Scale and zero point of input and output are equal.',
    inputs: 1,
    fields: { window: poolWindow, activation },
  },
  {
    kinds: { AvgPool: { number: 8, since: 1, label: 'QuantizedAvgPool' } },
    doc: 'Kernel [0, 0]: global. Divides by the number of real (not padded) elements. Output int8 or float32.',
    inputs: 1,
    fields: { window: poolWindow, activation },
  },
  {
    kinds: {
      Add: { number: 9, since: 1, label: 'QuantizedAdd' },
      Mul: { number: 10, since: 1, label: 'QuantizedMul' },
      Sub: { number: 15, since: 2, label: 'QuantizedSub' },
      Maximum: { number: 16, since: 2, label: 'QuantizedMaximum' },
      Minimum: { number: 17, since: 2, label: 'QuantizedMinimum' },
    },
    group: 'Binary',
    doc: 'NumPy broadcasting.',
    inputs: 2,
    fields: { activation },
  },
  {
    kinds: { Concat: { number: 11, since: 1, label: 'QuantizedConcat' } },
    doc: 'Along an axis; a negative one counts from the last.',
    inputs: { atLeast: 1 },
    fields: { axis: int('axis', { cpp: '-kMaxRank' }, { cpp: 'kMaxRank - 1' }) },
  },
  {
    kinds: { Reshape: { number: 12, since: 1 } },
    doc: 'At most one -1, inferred.',
    inputs: 1,
    fields: { shape: list('rank', 0, 'MAX_RANK', int('dimension', -1, 'INT32_MAX')) },
  },
  {
    kinds: { Lookup: { number: 13, since: 1 } },
    doc: 'int8 -> int8 or float32 through a table of 256 int8 codes or float32 values (4-aligned), by code + 128.',
    inputs: 1,
    fields: { tableOffset: offset() },
  },
  {
    kinds: { Softmax: { number: 14, since: 2, label: 'QuantizedSoftmax' } },
    doc: 'On the last axis. Input int8 or float32, output int8 or float32.',
    inputs: 1,
    fields: {},
  },
  {
    kinds: { Prelu: { number: 18, since: 2, label: 'QuantizedPrelu' } },
    doc: 'x where x >= 0, alpha[c] * x below: one float32 alpha a channel, 4-aligned.',
    inputs: 1,
    fields: { channels, alphaOffset: offset() },
  },
  {
    kinds: { Pad: { number: 19, since: 2, label: 'QuantizedPad' } },
    doc: 'Scale and zero point of input and output are equal, here and in the kinds below up to resizing.',
    inputs: 1,
    fields: {
      mode: enumOf('PadMode', 'mode'),
      code: int('code', -128, 127),
      paddings: list('rank', 1, 'MAX_RANK', structOf('AxisPadding')),
    },
  },
  {
    kinds: { Slice: { number: 20, since: 2, label: 'QuantizedSlice' } },
    doc: 'One range an axis.',
    inputs: 1,
    fields: { ranges: list('rank', 1, 'MAX_RANK', structOf('SliceRange')) },
  },
  {
    kinds: { Transpose: { number: 21, since: 2, label: 'QuantizedTranspose' } },
    doc: 'Axis i of the output is axis `axes[i]` of the input.',
    inputs: 1,
    fields: { axes: list('rank', 1, 'MAX_RANK', int('axis', 0, { cpp: 'count - 1' })) },
  },
  {
    kinds: {
      SpaceToDepth: { number: 22, since: 2, label: 'QuantizedSpaceToDepth' },
      DepthToSpace: { number: 23, since: 2, label: 'QuantizedDepthToSpace' },
    },
    group: 'SpaceDepth',
    doc: 'Blocks of `block` x `block` pixels to channels and back; channel (i * block + j) * channels + c is pixel (i, j).',
    inputs: 1,
    fields: { block: int('block size', 1, 'MAX_BLOCK') },
  },
  {
    kinds: { ResizeNearestNeighbor: { number: 24, since: 2, label: 'QuantizedResizeNearestNeighbor' } },
    doc: 'Scale and zero point of input and output are equal.',
    inputs: 1,
    fields: { size: structOf('ResizeSize') },
  },
  {
    kinds: { ResizeBilinear: { number: 25, since: 2, label: 'QuantizedResizeBilinear' } },
    doc: 'Any scales; output int8 or float32.',
    inputs: 1,
    fields: { size: structOf('ResizeSize') },
  },
  {
    kinds: { TransposedConv2D: { number: 26, since: 2, label: 'QuantizedConv2DTranspose' } },
    doc: `The gradient of a convolution with respect to its input. Filter [outChannels, kernel h, kernel w, inChannels]; the
window is that of the convolution from output to input, without dilation. An output size of 0 is the input times the
stride (SAME), or what the window covers. Output int8 or float32.`,
    inputs: 1,
    fields: {
      filter: filterOf('Int8FilterRef'),
      inChannels,
      outChannels,
      window,
      outputSize: size('output', 0, 'MAX_EXTENT'),
      activation,
    },
  },
  {
    kinds: { BatchMatMul: { number: 27, since: 2, label: 'QuantizedBatchMatMul' } },
    doc: 'On the last two axes; the others broadcast. Output int8 or float32.',
    inputs: 2,
    fields: {
      transposeA: bool('transpose of the first input'),
      transposeB: bool('transpose of the second input'),
      activation,
    },
  },
  {
    kinds: { Constant: { number: 28, since: 2 } },
    doc: 'int8 codes at a byte offset in the weights; an op without inputs.',
    inputs: 0,
    fields: { offset: offset(), shape: list('rank', 0, 'MAX_RANK', int('dimension', 1, 'INT32_MAX')) },
  },
  {
    kinds: { Rotate: { number: 29, since: 2 } },
    doc: 'On the last axis. Input int8 or float32, output int8 or float32.',
    inputs: 1,
    fields: { rotation: structOf('Rotation') },
  },
  {
    kinds: { LinearFloat: { number: 30, since: 3 } },
    doc: `Filter [outFeatures, inFeatures] of any format but Int16 and OffsetInt8, on the last axis of float32 values; output float32. The bias
is float32, in real units, in every format.`,
    inputs: 1,
    fields: {
      filter: filterOf('Int8FilterRef', 'LowBitFilterRef'),
      inFeatures: int('input features', 1, 'MAX_FEATURES'),
      outFeatures: int('output features', 1, 'MAX_FEATURES'),
      activation,
    },
  },
  {
    kinds: { Gather: { number: 31, since: 3 } },
    doc: `Rows of a filter [rows, depth] of any format but Int16 and OffsetInt8, without bias, by int32 indices [...]. Output [..., depth],
float32 or int8. An index outside is an error when the program runs.`,
    inputs: 1,
    fields: {
      filter: filterOf('Int8FilterRef', 'LowBitFilterRef'),
      rows: int('rows', 1, 'MAX_FEATURES'),
      depth: int('depth', 1, 'MAX_FEATURES'),
    },
  },
  {
    kinds: { LayerNormalization: { number: 32, since: 5, label: 'QuantizedLayerNormalization' } },
    doc: `On the last axis: y = (x - mean) / sqrt(variance + epsilon) * gamma[c] + beta[c], with one float32 gamma and beta a
channel, 4-aligned. Input int8 or float32, output int8 or float32.`,
    inputs: 1,
    fields: {
      channels,
      gammaOffset: offset(),
      betaOffset: offset(),
      epsilon: float('epsilon', { positive: true }),
    },
  },
  {
    kinds: { QuantizeInt16: { number: 40, since: 3 } },
    doc: 'float32 -> int16, with a scale that fits the values at hand, one a sample; kept with the codes.',
    inputs: 1,
    fields: {},
  },
  {
    kinds: { FloatAffine: { number: 41, since: 3 }, FloatGate: { number: 43, since: 3 } },
    group: 'FloatAffine',
    doc: `float32 -> float32: x * a[c] + b[c], clamped; one a and b a channel, or one for all where \`channels\` is 1. FloatGate: x
times that, hard-swish for one.`,
    inputs: 1,
    fields: {
      channels,
      aOffset: offset(),
      bOffset: offset(),
      floatMin: float('least output', { default: Number.NEGATIVE_INFINITY }),
      floatMax: float('greatest output', { default: Number.POSITIVE_INFINITY }),
    },
  },
  {
    kinds: { FloatFunction: { number: 42, since: 3 } },
    doc: 'float32 -> float32.',
    inputs: 1,
    fields: { function: enumOf('FloatFunctionKind', 'function') },
  },
  {
    kinds: { QuantizeDynamic: { number: 44, since: 4 } },
    doc: 'float32 -> dynamic int8 codes, scales and zero points fit the values at hand and are kept with the codes.',
    inputs: 1,
    fields: {},
  },
  {
    kinds: { QuantizeGrid: { number: 45, since: 4 } },
    doc: 'float32 -> dynamic int8 codes, a range for each sample, of which the codes of values first + step * 0..255 are exact.',
    inputs: 1,
    fields: { grid: structOf('Grid') },
  },
];

export const RECORDS: Readonly<Record<string, NumberRecord>> = {
  RouterNumbers: {
    doc: 'How tokens are routed to experts.',
    c: 'lowbit_router',
    fields: {
      experts: { type: 'int', doc: '2 to 1024.' },
      topK: { type: 'int', doc: '1 to 16, and not above `experts`.' },
      sigmoid: {
        type: 'bool',
        doc: 'Scores are the sigmoids of the logits rather than the logits, whose softmax is the weight.',
      },
      normalize: { type: 'bool', doc: 'Gate weights of a token sum to 1 before they are scaled.' },
      weightScale: { type: 'float' },
      bonus: {
        type: 'float',
        mutable: true,
        doc: 'Added to the scores of resident experts when they are ranked.',
      },
      protect: { type: 'int', doc: 'So many picks of plain routing are kept whatever is resident.' },
      groups: {
        type: 'int',
        doc: 'Experts come in so many groups, of which `topGroups` are chosen by the sum of their `groupTop` greatest scores.',
      },
      topGroups: { type: 'int' },
      groupTop: { type: 'int' },
    },
  },
  ExpertShape: {
    doc: 'What an expert computes: y = down(activation(up(x))), or gated down(activation(gate(x)) * up(x)).',
    c: 'lowbit_expert_shape',
    fields: {
      width: { type: 'int' },
      hidden: { type: 'int' },
      activation: { type: { enum: 'ExpertActivation' } },
      gated: { type: 'bool' },
    },
  },
  MatrixNumbers: {
    doc: 'A matrix of 2, 3 or 4 bits a number, and the scale and zero point of the codes to write of it.',
    c: 'lowbit_matrix_numbers',
    fields: {
      storage: { type: 'int', doc: 'A `WeightFormat`.' },
      rows: { type: 'int' },
      depth: { type: 'int' },
      group: { type: 'int' },
      unit: { type: 'float' },
      scale: { type: 'float' },
      zeroPoint: { type: 'int' },
    },
  },
};
