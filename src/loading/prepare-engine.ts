/** Lets the engine get ready while a model is on its way. */
import { io } from '@tensorflow/tfjs-core';
import { ready } from '../runtime/current-engine';

/** From now on the engine is loaded when TF.js loads a model by its URL. */
export function prepareWithModels(): void {
  const router: Parameters<typeof io.registerLoadRouter>[0] = () => {
    // The first prediction tells what fails.
    ready().catch(() => {});
    // TF.js takes another handler, then.
    return null as unknown as io.IOHandler;
  };
  io.registerLoadRouter(router);
}
