// What the page loads, into public/: the demo's float model, the same model converted to INT8, and pictures to try.

const fs = require('node:fs');
const path = require('node:path');
const sharp = require('sharp');
const { convert } = require('../../dist/src/convert'); // tfjs-lowbit/convert, of this repository
const { CLASSES, SIZE, makeShapes } = require('../demo/shapes.js');

const CALIBRATION_SEED = 1001;
const SAMPLE_SEED = 18;
const CALIBRATION_COUNT = 128;

const output = path.join(__dirname, 'public');
const float = path.join(__dirname, '..', 'demo', 'model');
const length = SIZE * SIZE * 3;

async function* calibration() {
  const { pixels } = makeShapes(CALIBRATION_COUNT, CALIBRATION_SEED);
  for (let i = 0; i < CALIBRATION_COUNT; i++) {
    const values = pixels.subarray(i * length, (i + 1) * length);
    yield { image: { dtype: 'float32', shape: [1, SIZE, SIZE, 3], values } };
  }
}

async function main() {
  fs.rmSync(output, { recursive: true, force: true });
  fs.cpSync(float, path.join(output, 'float'), { recursive: true });
  const input = path.join(float, 'model.json');
  await convert({ input, output: path.join(output, 'int8'), calibration });
  const { pixels } = makeShapes(CLASSES.length, SAMPLE_SEED);
  fs.mkdirSync(path.join(output, 'pictures'));
  for (const [i, name] of CLASSES.entries()) {
    const bytes = Buffer.from(
      pixels.subarray(i * length, (i + 1) * length).map((value) => (value + 1) * 127.5),
    );
    const picture = sharp(bytes, { raw: { width: SIZE, height: SIZE, channels: 3 } });
    await picture
      .resize(256, 256, { kernel: 'cubic' })
      .png()
      .toFile(path.join(output, 'pictures', `${name}.png`));
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
