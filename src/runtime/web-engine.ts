/** The WebAssembly engine in a browser: its modules are fetched. */
import { LowbitError } from '../base/errors';
import { provideEngine } from './current-engine';
import type { Engine, Isa } from './engine';
import { createWasmEngine } from './wasm-engine';
import { chooseFile, supportedFiles, type WasmFileName, wasmPath } from './wasm-files';
import { compileModule, compileModuleLater, type WasmModule } from './wasm-module';
import { webWorkers } from './wasm-threads-web';

/** As much of the host as is used here; TypeScript has it only together with all of the DOM. */
declare const XMLHttpRequest:
  | (new () => {
      readonly status: number;
      readonly responseText: string;
      open(method: string, url: string, later: boolean): void;
      overrideMimeType(type: string): void;
      send(): void;
    })
  | undefined;

const CSP =
  "See that this is the file of the installed version, and that the page's Content-Security-Policy allows 'wasm-unsafe-eval'.";

/** By URL. */
const compiled = new Map<string, WasmModule>();
const onTheirWay = new Map<string, Promise<WasmModule>>();

function notLoaded(url: string, why: string, cause?: unknown): LowbitError {
  return new LowbitError(
    'engine-unavailable',
    `The WebAssembly engine of tfjs-lowbit could not be loaded from ${url}: ${why}\n` +
      'Serve the file there, or say by setWasmPaths, before the first prediction, where it lies.',
    { cause },
  );
}

async function fetchModule(url: string): Promise<WasmModule> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (cause) {
    throw notLoaded(url, (cause as Error).message, cause);
  }
  if (!response.ok) throw notLoaded(url, `HTTP status ${response.status}`);
  const module = await compileModuleLater(response, webWorkers() !== undefined, url, CSP);
  compiled.set(url, module);
  return module;
}

/** What a prediction does that comes before `fetchModule` is through: it cannot wait in another way. */
function readNow(url: string): WasmModule {
  if (typeof XMLHttpRequest === 'undefined') {
    throw notLoaded(url, 'it is not there yet. Await ready() before the first prediction.');
  }
  const request = new XMLHttpRequest();
  request.open('GET', url, false);
  // Every byte as a character: binary responses are not to be had while the caller waits.
  request.overrideMimeType('text/plain; charset=x-user-defined');
  try {
    request.send();
  } catch (cause) {
    throw notLoaded(url, (cause as Error).message, cause);
  }
  if (request.status !== 200) throw notLoaded(url, `HTTP status ${request.status}`);
  const text = request.responseText;
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const module = compileModule(bytes, webWorkers() !== undefined, url, CSP);
  compiled.set(url, module);
  return module;
}

/**
 * Makes WebAssembly the engine. Its module is fetched by `ready`, or when it is first needed.
 *
 * @param urls where the modules lie unless the user says otherwise
 */
export function provideWebEngine(urls: Readonly<Record<WasmFileName, string>>): void {
  const choose = (wanted?: Isa) => {
    const files = supportedFiles();
    const { isa, name } = chooseFile(files, wanted, 'isa');
    return { isa, supportedIsas: files.map((file) => file.isa), url: wasmPath(name) ?? urls[name] };
  };
  const create = (options: { isa?: Isa } = {}): Engine => {
    const { url, ...isas } = choose(options.isa);
    return createWasmEngine(compiled.get(url) ?? readNow(url), {
      ...isas,
      workers: webWorkers(),
      openExperts() {
        throw new LowbitError('io', 'Experts lie in files, which a browser does not have.');
      },
    });
  };
  const prepare = async () => {
    const { url } = choose();
    const module = onTheirWay.get(url) ?? fetchModule(url);
    onTheirWay.set(url, module);
    try {
      await module;
    } finally {
      onTheirWay.delete(url);
    }
  };
  provideEngine(create, prepare);
}
