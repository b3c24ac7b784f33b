import type { GraphModel } from '@tensorflow/tfjs-converter';
import { GraphRunner } from '../../src/tfjs/graph-runner';

/** A model that counts its calls and refuses `execute` with `refusal`. */
function model(refusal?: string) {
  const calls: string[] = [];
  return {
    calls,
    weights: {},
    execute() {
      calls.push('execute');
      if (refusal) throw new Error(refusal);
      return 'tensor';
    },
    async executeAsync() {
      calls.push('executeAsync');
      return ['one', 'other'];
    },
  };
}

const runner = (fake: ReturnType<typeof model>, ops: string[]) =>
  new GraphRunner(fake as unknown as GraphModel, ops);

test('runs at once what can run so, and returns a list even for one tensor', async () => {
  const fake = model();
  expect(await runner(fake, ['Conv2D']).run({}, ['a'])).toEqual(['tensor']);
  expect(fake.calls).toEqual(['execute']);
});

test('goes over to executeAsync where TF.js asks for it, and stays there', async () => {
  const fake = model('This execution contains the node x; use model.executeAsync() instead.');
  const running = runner(fake, ['Merge']);
  expect(await running.run({}, ['a', 'b'])).toEqual(['one', 'other']);
  await running.run({}, ['a', 'b']);
  expect(fake.calls).toEqual(['execute', 'executeAsync', 'executeAsync']);
});

test('runs a graph with If by executeAsync: TF.js does not ask for it', async () => {
  const fake = model();
  await runner(fake, ['Conv2D', 'If']).run({}, ['a']);
  expect(fake.calls).toEqual(['executeAsync']);
});

test('passes other errors on', async () => {
  await expect(runner(model('out of memory'), []).run({}, ['a'])).rejects.toThrow('out of memory');
});

test('computes nothing where nothing is asked for: TF.js would compute all outputs', async () => {
  const fake = model();
  expect(await runner(fake, ['Conv2D']).run({}, [])).toEqual([]);
  expect(fake.calls).toEqual([]);
});
