/** Importing this file makes the native addon the engine. It is loaded when it is first needed. */
import { provideEngine } from './current-engine';
import { createNativeEngine } from './native-engine';

provideEngine(createNativeEngine);
