// @needs addon
/** Which engine runs in Node.js. */
import { engineInfo, setIsa, setMaxMemory, setThreads } from '../../src/runtime/current-engine';
import { createNodeEngine } from '../../src/runtime/node-engine';
import '../../src/runtime/provide-node-engine';

const names = ['LOWBIT_ENGINE', 'LOWBIT_ISA', 'LOWBIT_ADDON'] as const;
const before = names.map((name) => process.env[name]);

function createWith(settings: Partial<Record<(typeof names)[number], string>>) {
  for (const name of names) {
    if (settings[name] === undefined) delete process.env[name];
    else process.env[name] = settings[name];
  }
  const { kind, isa } = createNodeEngine();
  return `${kind} ${isa}`;
}

afterEach(() =>
  names.forEach((name, i) => {
    if (before[i] === undefined) delete process.env[name];
    else process.env[name] = before[i];
  }),
);

const fastest = createNodeEngine().supportedIsas.at(-1);

test.each([
  [{}, `native ${fastest}`],
  [{ LOWBIT_ENGINE: '', LOWBIT_ISA: '' }, `native ${fastest}`],
  [{ LOWBIT_ENGINE: 'native' }, `native ${fastest}`],
  [{ LOWBIT_ENGINE: 'wasm' }, 'wasm wasmrelaxed'],
  [{ LOWBIT_ISA: 'wasm' }, 'wasm wasm'],
  [{ LOWBIT_ISA: 'wasmsimd' }, 'wasm wasmsimd'],
  [{ LOWBIT_ADDON: 'absent.node' }, 'wasm wasmrelaxed'],
  [{ LOWBIT_ADDON: 'absent.node', LOWBIT_ISA: 'wasm' }, 'wasm wasm'],
])('%j gives %s', (settings, expected) => {
  expect(createWith(settings)).toBe(expected);
});

test.each([
  [{ LOWBIT_ENGINE: 'webgpu' }, "Expected native or wasm for LOWBIT_ENGINE but received 'webgpu'"],
  [
    { LOWBIT_ENGINE: 'wasm', LOWBIT_ISA: 'avx2' },
    'Expected one of wasm, wasmsimd, wasmrelaxed for LOWBIT_ISA',
  ],
  [
    { LOWBIT_ADDON: 'absent.node', LOWBIT_ISA: 'sse9' },
    'Expected one of wasm, wasmsimd, wasmrelaxed for LOWBIT_ISA',
  ],
  [
    { LOWBIT_ENGINE: 'native', LOWBIT_ADDON: 'absent.node' },
    'The native engine of tfjs-lowbit is not available',
  ],
])('%j is refused', (settings, message) => {
  expect(() => createWith(settings)).toThrow(message);
});

test('setIsa changes the instruction set and with it the engine', () => {
  setIsa('wasmsimd');
  expect(engineInfo()).toMatchObject({ kind: 'wasm', isa: 'wasmsimd' });
  setMaxMemory(2 ** 20);
  setThreads(3);
  setIsa('wasm');
  expect(engineInfo()).toMatchObject({ kind: 'wasm', isa: 'wasm', maxMemory: 2 ** 20, threads: 3 });
  expect(() => setIsa('sse9')).toThrow('for isa');
  expect(engineInfo().isa).toBe('wasm');
  setIsa('scalar');
  expect(engineInfo()).toMatchObject({ kind: 'native', isa: 'scalar' });
  expect(engineInfo().maxMemory).toBeGreaterThan(2 ** 20);
});
