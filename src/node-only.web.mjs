/** What browsers get for the entries that are for Node.js. A CommonJS module, so that bundlers ask for no names. */
import { LowbitError } from './base/errors';

throw new LowbitError(
  'engine-unavailable',
  "'tfjs-lowbit/moe' and 'tfjs-lowbit/layers' are for Node.js: experts are read from files. A browser runs " +
    "models without such experts: import 'tfjs-lowbit'.",
);
