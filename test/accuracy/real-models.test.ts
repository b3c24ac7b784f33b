// @needs engine
/**
 * Real models on a few samples: what breaks their accuracy fails here. The targets lie below what they reach, since figures
 * of eight samples vary; `npm run bench:accuracy` judges on all of them.
 */
import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { describeWithShared } from '../support/shared';

const BENCHMARK = resolve(__dirname, '..', '..', 'benchmarks', 'real-models.js');

interface Result {
  readonly figures: Readonly<Record<string, number>>;
  readonly regions: number;
}

function evaluate(name: string): Result {
  const args = [BENCHMARK, name, '--samples', '8', '--calibration-samples', '8', '--json'];
  return JSON.parse(
    execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
  )[0];
}

/** [model, figure, 'most' or 'least', value, regions] */
const TARGETS: [string, string, 'most' | 'least', number, number][] = [
  ['squeezenet1_1', 'agreement', 'least', 85, 1],
  ['resnet20_cifar10', 'agreement', 'least', 85, 1],
  ['facemesh', 'landmarkError', 'most', 0.5, 1],
  ['blazeface-front', 'signalToNoise', 'least', 25, 1],
  ['selfie', 'maskOverlap', 'least', 0.95, 1],
  ['basic_pitch', 'signalToNoise', 'least', 28, 2],
];

describeWithShared('a real model on a few samples', () => {
  test.each(TARGETS)(
    '%s: %s',
    async (name, figure, sense, target, regions) => {
      const result = evaluate(name);
      console.info(JSON.stringify({ name, figures: result.figures }));
      expect(result.regions).toBe(regions);
      if (sense === 'most') expect(result.figures[figure]).toBeLessThanOrEqual(target);
      else expect(result.figures[figure]).toBeGreaterThanOrEqual(target);
    },
    240_000,
  );
});
