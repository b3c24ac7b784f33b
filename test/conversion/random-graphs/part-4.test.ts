// @needs engine
import { checkPart } from '../../support/random-graphs/run-range';

test('random graphs in every mode: no uncoded error, the shapes of the float graph, noise as simulated', async () => {
  await checkPart(3, 4);
}, 1_800_000);
