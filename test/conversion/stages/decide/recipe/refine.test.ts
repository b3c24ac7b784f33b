// @needs engine
import '../../../../../src/index.node';
import { settle } from '../../../../../src/conversion/options/settle';
import type { Settings } from '../../../../../src/conversion/settings';
import type { ObservedInt8 } from '../../../../../src/conversion/stage-results';
import { decideInt8 } from '../../../../../src/conversion/stages/decide/int8';
import { Climb, type Trial } from '../../../../../src/conversion/stages/decide/recipe/climb';
import { refine } from '../../../../../src/conversion/stages/decide/recipe/refine';
import { observe } from '../../../../../src/conversion/stages/observe';
import { optimize } from '../../../../../src/conversion/stages/optimize/optimize';
import type { Graph, Sample } from '../../../../../src/graph/ir';
import { drawFeeds } from '../../../../support/float-graph';
import { toSample } from '../../../../support/quantize';
import { randomOf } from '../../../../support/random';
import { conv, image } from '../../../../support/small-network';

const random = randomOf('refine', 0);

const network = () => {
  const graph = image(random);
  for (let i = 0; i < 6; i++) conv(graph, `conv${i}`, i === 0 ? 'image' : `conv${i - 1}`, 'Relu');
  return graph.build('conv5');
};

const graph = network();
const samples = Array.from({ length: 4 }, () => toSample(drawFeeds(graph, random)));
const data = async function* (): AsyncGenerator<Sample> {
  yield* samples;
};

/** What equalization costs where layers have higher precision. */
const EQUALIZED = 3;

/** What a search needs to know of models is the number of their layers in higher precision. */
class Counted extends Climb {
  readonly looked = new Set<number>();

  constructor(
    settings: Settings,
    private readonly needed: { readonly searched: number; readonly unseen: number },
  ) {
    const goal = { source: async function* () {}, required: false, judgedOf: (each: Graph) => each };
    const source = async function* () {
      for (const sample of samples) yield { sample };
    };
    super({ ...goal, source, measure: () => Promise.reject(new Error('not measured')) }, [], settings, () =>
      Promise.reject(new Error('not prepared')),
    );
  }

  override async try(...[, decision, { added = new Map() } = {}]: Parameters<Climb['try']>): Promise<Trial> {
    const cost = decision.settings.equalize ? EQUALIZED : 0;
    const excess = added.size - this.needed.searched - cost;
    return { step: 0, decision, added, excess, met: excess >= 0, short: new Set(['conv5']) };
  }

  override async confirm({ added }: Trial): Promise<number> {
    this.looked.add(added.size);
    return added.size - this.needed.unseen;
  }
}

async function climbFor(needed: { searched: number; unseen: number }) {
  const settings = settle({ recipe: 'fast' }, data);
  const observed = (await observe(await optimize(graph, settings), settings)) as ObservedInt8;
  const climb = new Counted(settings, needed);
  const first = await climb.try('static', await decideInt8(observed, settings));
  climb.keep(first);
  return { climb, first };
}

async function layersFor(needed: { searched: number; unseen: number }) {
  const { climb } = await climbFor(needed);
  await refine(climb);
  return { layers: climb.best.added.size, confirmed: [...climb.looked] };
}

test('gives as few layers higher precision as the target takes', async () => {
  expect(await layersFor({ searched: 2, unseen: 1 })).toEqual({ layers: 2, confirmed: [2] });
});

test('searches again where the model falls short on samples that it was not searched for', async () => {
  expect(await layersFor({ searched: 2, unseen: 4 })).toEqual({ layers: 4, confirmed: [2, 4] });
});

test.each([
  ['is kept where the target can be met with it', 2, true],
  ['is given up where it cannot', 5, false],
])('what helped static INT8 %s', async (_, searched, equalize) => {
  const { climb, first } = await climbFor({ searched, unseen: 0 });
  const settings = { ...first.decision.settings, equalize: true };
  climb.keep({ ...first, decision: { ...first.decision, settings }, excess: first.excess + 1 });
  await refine(climb);
  expect(climb.best.met).toBe(true);
  expect(climb.best.decision.settings.equalize).toBe(equalize);
});

test('comes near where the target cannot be met', async () => {
  expect(await layersFor({ searched: 100, unseen: 100 })).toEqual({ layers: 5, confirmed: [] });
});
