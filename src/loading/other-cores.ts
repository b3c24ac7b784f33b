/** Second copies of tfjs-core. They share engine, backends and kernels, but each has its own handlers of URLs. */
import * as tf from '@tensorflow/tfjs-core';
import { loadedCopies, nowAndAfterImports } from '../base/loaded-copies';
import { registerFileSystemRouter } from './file-system';

type Core = Pick<typeof tf, 'io'>;

const served = new WeakSet<Core['io']>();

function serve({ io }: Core): void {
  if (served.has(io)) return;
  served.add(io);
  registerFileSystemRouter(io);
}

/** Makes `file://` URLs work with the copy that this package resolves and with those that the program has loaded. */
export function serveFiles(): void {
  nowAndAfterImports(() => {
    serve(tf);
    const isMain = ({ io }: Partial<Core>) => typeof io?.registerLoadRouter === 'function';
    for (const { exports } of loadedCopies<Core>('@tensorflow/tfjs-core', isMain)) serve(exports);
  });
}
