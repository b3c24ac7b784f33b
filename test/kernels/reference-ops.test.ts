// @needs engine
/** Every op on random shapes: each instruction set of this machine equals the reference, whatever the threads. */
import { CaseBuilder } from '../support/case-builder';
import { Drawer } from '../support/draw';
import { DYNAMIC_SERIES } from '../support/dynamic-series';
import { INT16_SERIES } from '../support/int16-series';
import { forEachCase } from '../support/random';
import { everyIsa, expectReference } from '../support/run-engine';
import { ALL_SERIES } from '../support/series';

const CASES = 200;

test.each([...ALL_SERIES, ...INT16_SERIES, ...DYNAMIC_SERIES])(
  '$label equals the reference on every instruction set',
  async ({ label, draw }) => {
    const engines = everyIsa();
    await forEachCase(label, CASES, (random) => {
      const builder = new CaseBuilder(random.chance(0.3));
      builder.output(draw(new Drawer(builder, random), random));
      expectReference(builder.build(), engines);
    });
  },
);
