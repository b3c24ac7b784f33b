/** Loads TF.js backends when a float model is to run and the program has imported none. */
import { isMissing } from '../base/missing-package';
import { provideBackends } from './backends';

function unlessMissing(name: string, error: unknown): void {
  if (!isMissing(name, error)) throw error;
}

// Bundlers look for what is required, and let it be absent within `try`.
provideBackends({
  wasm() {
    try {
      require('@tensorflow/tfjs-backend-wasm');
    } catch (error) {
      unlessMissing('@tensorflow/tfjs-backend-wasm', error);
    }
  },
  cpu() {
    try {
      require('@tensorflow/tfjs-backend-cpu');
    } catch (error) {
      unlessMissing('@tensorflow/tfjs-backend-cpu', error);
    }
  },
});
