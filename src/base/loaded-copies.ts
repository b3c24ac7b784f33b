/** Copies of a package that this process has loaded, in Node.js. */

/** A copy: its folder, and what its main file exports. */
export interface LoadedCopy<Exports> {
  readonly folder: string;
  readonly exports: Exports;
}

/**
 * The copies of a package that are loaded so far, as CommonJS modules, which the packages of TF.js are in Node.js.
 *
 * @param name `@tensorflow/tfjs-core`
 * @param isMain tells the exports of the package from those of its parts
 */
export function loadedCopies<Exports extends object>(
  name: string,
  isMain: (exports: Partial<Exports>) => boolean,
): LoadedCopy<Exports>[] {
  const copies = new Map<string, Exports>();
  for (const [file, module] of Object.entries(require.cache ?? {})) {
    const path = file.replaceAll('\\', '/');
    const end = path.lastIndexOf(`/node_modules/${name}/`);
    const exports: unknown = module?.exports;
    if (end < 0 || typeof exports !== 'object' || exports === null) continue;
    const folder = file.slice(0, end + `/node_modules/${name}`.length);
    if (!copies.has(folder) && isMain(exports)) copies.set(folder, exports as Exports);
  }
  return [...copies].map(([folder, exports]) => ({ folder, exports }));
}

/** Runs something now and once all is imported that is imported together with this package. */
export function nowAndAfterImports(body: () => void): void {
  body();
  queueMicrotask(body);
}
