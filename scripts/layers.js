/**
 * The rooms of the source and which of them may know which. check-layers.js checks the imports against it, and the table
 * and the picture in CONTRIBUTING.md.
 *
 * A room may know only rooms that are listed before it, so no two of them can import each other. A subfolder belongs to
 * its room; a room that is `direct` is the files that lie directly in its folder.
 */
const path = require('node:path');

const TYPESCRIPT = [
  {
    room: 'src/base',
    holds: 'errors, small helpers for files, version',
    knows: '',
    why: 'Everything throws `LowbitError`, so it lies below all else.',
  },
  {
    room: 'src/vendor',
    holds: 'what is taken from other packages and bundled into ours, a file a package',
    knows: '',
    why: 'Nobody else imports those packages: users would have to install them.',
  },
  {
    room: 'src/program',
    holds: 'the quantized program: the op schema, what is generated from it, encoder, reader',
    knows: 'base',
    why: 'The narrow waist: nothing above it knows C++, nothing below it knows TF.js.',
  },
  {
    room: 'src/graph',
    holds: 'the graph IR, its readers and writer, shape inference, samples',
    knows: 'base',
    why: 'A float graph needs nothing of the program.',
  },
  {
    room: 'src/quantization',
    holds: 'affine INT8 arithmetic, low-bit `formats/`, rotation, error metrics, observations',
    knows: 'base program graph',
    why: 'Knows `graph`, because observations belong to tensors and layers of a graph.',
  },
  {
    room: 'src/passes',
    holds: 'one rewrite pass a file; `pipeline.ts` lists them in order',
    knows: 'base program graph quantization',
    why: 'A pass is a function from graph to graph: no files, no TF.js.',
  },
  {
    room: 'src/tfjs',
    holds: 'running a TF.js graph: loaded graph, runner, backends',
    knows: 'base graph',
    why: 'Runs any graph, float or converted, so it needs nothing of codes.',
  },
  {
    room: 'src/runtime',
    holds:
      'the engine interface, the native and the WebAssembly engine, cached programs, weights held by the engine',
    knows: 'base program',
    why: 'The only room that knows which engine runs.',
  },
  {
    room: 'src/moe',
    holds:
      'mixture of experts: routing, affinity, expert cache and store, memory tiers, the layer for tf.layers',
    knows: 'base vendor program graph quantization runtime',
    why: 'Knows `graph`, because the experts of a converted model are found in its nodes.',
  },
  {
    room: 'src/loading',
    holds: 'loading a converted model: the `file://` handler, sessions',
    knows: 'base graph tfjs runtime moe',
    why: 'Its own room, because `runtime` would else have to know TF.js, the graph and experts.',
  },
  {
    room: 'kernels',
    holds: "one file per TF.js kernel; `hosts/` says how each backend's tensor bytes are reached",
    knows: 'base program graph quantization runtime moe',
    why: 'Knows `graph` for the name and the activations of the `MixtureOfExperts` op, `moe` to compute it.',
  },
  {
    room: 'src/calibration',
    holds: 'observers, the calibration run, `data/` (image folders, `.npy`, `.npz`, records, modules)',
    knows: 'base vendor program graph quantization tfjs',
    why: 'Knows `program` for windows and grids of codes; what is observed is handed in, so it needs no pass.',
  },
  {
    room: 'src/evaluation',
    holds: 'what a converted model is worth: compare, inspect, bench, profile, sensitivity, layer errors',
    knows: 'base program graph quantization passes tfjs runtime moe loading kernels calibration',
    why: 'Runs converted models layer by layer, so it knows what loads and computes them, and `passes` for the layers.',
  },
  {
    room: 'src/conversion',
    holds: 'a conversion, stage by stage, with its options (`lowbit.json` is one way to give them)',
    knows: 'base vendor program graph quantization passes tfjs runtime moe kernels calibration evaluation',
    why: 'Accuracy targets and tuning evaluate what they convert, so it stands above `evaluation`.',
  },
  {
    room: 'src/report',
    holds: 'the page of a conversion and the data in it',
    knows: 'base graph passes tfjs moe calibration evaluation conversion',
    why: 'Shows what a conversion did and measures it layer by layer; no engine and no codes of its own.',
  },
  {
    room: 'src',
    direct: true,
    name: 'entries',
    holds: 'what package.json exports, a file an entry; no other file lies there',
    knows:
      'base program graph quantization tfjs runtime moe loading kernels calibration evaluation conversion report',
    why: 'Says what is public; holds no code of its own.',
  },
  {
    room: 'src/cli',
    holds: 'one file a command',
    knows: 'base vendor graph quantization moe calibration evaluation conversion report entries',
    why: 'Text in, text out: runs no TF.js graph itself.',
  },
];

const NATIVE = [
  { room: 'native/include', holds: 'the C ABI', knows: '' },
  { room: 'native/base', holds: 'shapes, errors, threads, packed bytes, exp', knows: 'include' },
  {
    room: 'native/program',
    holds: 'what a program can hold, generated from the op schema; tensors; the reader of an op',
    knows: 'base',
  },
  {
    room: 'native/isa',
    holds: 'inner loops, a folder for each instruction set; `scalar` defines',
    knows: 'base program',
  },
  { room: 'native/ops', holds: 'what an op does, one family a file', knows: 'include base program isa' },
  {
    room: 'native/moe',
    holds: 'expert routing and the computation of an expert',
    knows: 'include base program isa ops',
  },
  {
    room: 'native/plan',
    holds: 'decoding and validation, shapes, arena, threads, profile',
    knows: 'include base program isa ops',
  },
  {
    room: 'native',
    direct: true,
    name: 'abi',
    holds: 'the façade: every function of the C ABI',
    knows: 'include base isa ops moe plan',
  },
  { room: 'native/node', holds: 'Node-API, files', knows: 'include base' },
  { room: 'native/web', holds: 'WebAssembly: exports, and what a system would give', knows: 'base include' },
];

/** Imports that the table alone does not forbid. `from` and `to` match a file's path, or the name of a package. */
const FORBIDDEN = [
  {
    from: /^(?!src\/vendor\/)/,
    to: /^(?!src\/|kernels\/|native\/|node:|@tensorflow\/|(sharp|prom-client|@redis\/client)$)/,
    why: 'what users do not install is taken from src/vendor',
  },
  {
    from: /^src\/(base|program|graph|quantization|passes|runtime)\//,
    to: /^@tensorflow\//,
    why: 'knows no TF.js',
  },
  { from: /^src\/passes\//, to: /^node:/, why: 'a pass knows no files' },
  {
    from: /^(?!src\/runtime\/)/,
    to: /^src\/runtime\/native-/,
    why: 'only src/runtime knows which engine runs',
  },
  {
    from: /^(?!src\/index\.node\.ts|src\/evaluation\/memory-child\.ts)/,
    to: /^src\/(runtime|tfjs)\/provide-/,
    why: 'only the entry of a program chooses its engine and backends',
  },
  {
    from: /^src\/conversion\/(?!options\/|config\/|(convert|convert-graph|quantize|dry-run)\.ts)/,
    to: /^src\/conversion\/options\//,
    why: 'options are settled at the entry; what follows takes settings',
  },
  {
    from: /^src\/conversion\/stages\//,
    to: /^src\/conversion\/(convert|convert-graph|quantize|dry-run)\.ts/,
    why: 'no stage and no strategy calls the whole conversion',
  },
];

/** Parts that do not import each other, and what each is named by. */
const APART = [{ parts: /^src\/conversion\/stages\/([\w-]+)/, why: 'no stage imports another' }];

const named = (table) =>
  table.map((row) => ({
    name: path.basename(row.room),
    ...row,
    knows: row.knows.split(' ').filter(Boolean),
  }));

module.exports = { TYPESCRIPT: named(TYPESCRIPT), NATIVE: named(NATIVE), FORBIDDEN, APART };
