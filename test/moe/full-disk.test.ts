// @needs engine
/** What is left where a disk is full: nothing half-written, and an error that says so. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { convert, recordTrace } from '../../src/convert';
import { readTrace, writeTrace } from '../../src/moe';
import { MoELayer } from '../../src/moe/moe-layer';
import { writeContainer } from '../../src/moe/store/container';
import { everyExpert, makeExperts } from '../support/experts';
import { describeWithSmallDisks, mountSmallDisk, type SmallDisk } from '../support/full-disk';
import { writeLayersModel } from '../support/layers';
import { temporaryFolder } from '../support/tiny-model';

const PAGE = 4096;
const WIDTH = 32;
const MAIN = join(__dirname, '../../dist/src/cli/main.js');

const FULL = { code: 'io', message: expect.stringContaining('no space left on device') };

/** Runs something on a disk of so many bytes. */
async function onDisk(bytes: number, body: (disk: SmallDisk) => Promise<void>): Promise<void> {
  const disk = mountSmallDisk(bytes);
  try {
    await body(disk);
  } finally {
    disk.remove();
  }
}

/** Every number of pages that is not enough. */
const sizesBelow = (bytes: number) =>
  Array.from({ length: Math.ceil(bytes / PAGE) - 1 }, (_, i) => (i + 1) * PAGE);

describeWithSmallDisks('a full disk', () => {
  let layersModel: string;

  beforeAll(async () => {
    await tf.setBackend('cpu');
    const float = tfl.sequential({
      layers: [
        tfl.layers.dense({ units: WIDTH, inputShape: [WIDTH] }),
        new MoELayer({ experts: 4, topK: 1, hidden: 64 }),
      ],
    });
    layersModel = await writeLayersModel(float, temporaryFolder());
  });

  test('wherever a container ends, an older one stays as it was', async () => {
    const made = await makeExperts(1, 2);
    const { size } = statSync(made.path);
    const old = Buffer.from('old');
    const model = { layers: 1, experts: 2, precisions: ['a', 'b'].map((name) => ({ name, layout: {} })) };
    // The first page is for the old file.
    for (const bytes of sizesBelow(size)) {
      await onDisk(PAGE + bytes, async ({ folder }) => {
        const path = join(folder, 'experts');
        writeFileSync(path, old);
        await expect(writeContainer(path, model, everyExpert(1, 2, 2))).rejects.toMatchObject(FULL);
        expect(readdirSync(folder)).toEqual(['experts']);
        expect(readFileSync(path)).toEqual(old);
      });
    }
    await onDisk(2 * PAGE + size, async ({ folder }) => {
      await writeContainer(join(folder, 'experts'), model, everyExpert(1, 2, 2));
      expect(readdirSync(folder)).toEqual(['experts']);
    });
    await made.remove();
  });

  test('a trace is there whole or not at all', async () => {
    const trace = { tokens: 64, layers: 2, experts: 32, topK: 2, logits: new Float32Array(64 * 2 * 32) };
    for (const bytes of [PAGE, 3 * PAGE]) {
      await onDisk(bytes, async ({ folder }) => {
        await expect(writeTrace(join(folder, 'trace'), trace)).rejects.toMatchObject(FULL);
        expect(readdirSync(folder)).toEqual([]);
      });
    }
    await onDisk(6 * PAGE, async ({ folder }) => {
      await writeTrace(join(folder, 'trace'), trace);
      expect((await readTrace(join(folder, 'trace'))).tokens).toBe(64);
    });
  });

  test('a converted model is there whole or not at all, wherever the disk ends', async () => {
    const whole = join(temporaryFolder(), 'whole');
    const { bytes } = await convert({ input: layersModel, output: whole, calibration: 'random' });
    for (const room of sizesBelow(bytes.after)) {
      await onDisk(room, async ({ folder }) => {
        const run = convert({ input: layersModel, output: join(folder, 'out'), calibration: 'random' });
        await expect(run).rejects.toMatchObject(FULL);
        expect(readdirSync(folder)).toEqual([]);
      });
    }
  });

  test('a recording leaves nothing', async () => {
    const output = join(temporaryFolder(), 'converted');
    await convert({ input: layersModel, output, calibration: 'random' });
    const model = join(output, 'model.json');
    async function* samples([{ name }]: readonly { name: string }[]) {
      const values = new Float32Array(512 * WIDTH).fill(0.5);
      yield { [name]: { dtype: 'float32' as const, shape: [512, WIDTH], values } };
    }
    await onDisk(PAGE, async ({ folder }) => {
      const run = recordTrace({ model, samples, output: join(folder, 'trace') });
      await expect(run).rejects.toMatchObject(FULL);
      expect(readdirSync(folder)).toEqual([]);
    });
  });

  test('the command says so and fails', async () => {
    await onDisk(2 * PAGE, async ({ folder }) => {
      const name = JSON.parse(readFileSync(layersModel, 'utf8')).weightsManifest[0].weights.find(
        (w: { name: string }) => w.name.endsWith('/up'),
      ).name;
      const run = promisify(execFile)(process.execPath, [
        ...[MAIN, 'moe', 'pack', '--input', layersModel, '--output', join(folder, 'experts')],
        ...['--up', name, '--down', name.replace(/up$/, 'down')],
      ]);
      await expect(run).rejects.toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/tfjs-lowbit: Cannot write the experts to .*no space left on device/),
      });
      expect(readdirSync(folder)).toEqual([]);
    });
  });
});
