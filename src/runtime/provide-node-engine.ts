/** Importing this file provides the engine of Node.js. It is loaded when it is first needed. */
import { provideEngine } from './current-engine';
import { createNodeEngine } from './node-engine';

provideEngine(createNodeEngine);
