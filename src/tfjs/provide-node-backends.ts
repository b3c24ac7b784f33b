/** Imports TF.js backends when a float model is to run and the program has imported none. */
import { provideBackends } from './backends';

provideBackends({
  wasm: () => import('@tensorflow/tfjs-backend-wasm'),
  cpu: () => import('@tensorflow/tfjs-backend-cpu'),
});
