/**
 * Second copies of tfjs-converter. Each has graph ops of its own, and ours are registered with the copy that this package
 * resolves: a model that another one has loaded would end in `Unknown op`.
 */
import * as converter from '@tensorflow/tfjs-converter';
import { LowbitError } from '../src/base/errors';
import { type LoadedCopy, loadedCopies, nowAndAfterImports } from '../src/base/loaded-copies';
import { hasOps, OP_NAMES } from './register';

const NAME = '@tensorflow/tfjs-converter';

type Converter = Pick<typeof converter, 'registerOp'>;

function explainIn({ folder, exports }: LoadedCopy<Converter>, own: string): void {
  for (const op of OP_NAMES) {
    exports.registerOp(op, () => {
      throw new LowbitError(
        'two-copies',
        `Two copies of ${NAME} are loaded: this model was loaded by that in ${folder}, but tfjs-lowbit has registered its ` +
          `kernels with that in ${own}. Install one version (npm ls ${NAME} shows who wants which), or register them ` +
          "with the other one too: import { install } from 'tfjs-lowbit', and call install({ ...tf, ...converter }) with what " +
          'the program imports.',
      );
    });
  }
}

function explain(): void {
  const copies = loadedCopies<Converter>(NAME, ({ registerOp }) => typeof registerOp === 'function');
  const own = copies.find(({ exports }) => exports.registerOp === converter.registerOp)?.folder;
  if (own === undefined) return;
  for (const copy of copies) if (!hasOps(copy.exports)) explainIn(copy, own);
}

/** Lets other copies say what to do; `install` makes them run models. */
export function explainOtherConverters(): void {
  nowAndAfterImports(explain);
}
