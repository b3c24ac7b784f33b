// Converts the model of argv[2] to argv[3] by the recipe argv[4], and prints how far the resident set of the process had grown at its highest by
// the end of each stage, in bytes.

const { readFileSync } = require('node:fs');
const { convert } = require('../../dist/src/convert.js');

const SAMPLES = 16;

/** Enough for a search to hold several models. */
const SECONDS = Number(process.env.LOWBIT_TEST_SECONDS ?? 25);

/** Of the highest point so far. `maxRSS` of the resource usage would count the process that started this one. */
const peak = () => 1024 * Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]);

/** More samples than are calibrated on, so that the check has some of its own. */
async function* samples([{ name, shape }]) {
  const dims = shape.map((d) => Math.max(d, 1));
  const length = dims.reduce((product, d) => product * d, 1);
  for (let i = 1; i <= 2 * SAMPLES; i++) {
    const values = Float32Array.from({ length }, (_, k) => Math.sin(k * i) + Math.cos(k / 3 + i));
    yield { [name]: { dtype: 'float32', shape: dims, values } };
  }
}

async function main(input, output, recipe) {
  const before = process.memoryUsage.rss();
  const growth = {};
  let stage;
  const { fidelity } = await convert({
    input,
    output,
    calibration: samples,
    samples: SAMPLES,
    recipe,
    timeBudget: SECONDS,
    onProgress: (progress) => {
      if (stage !== undefined) growth[stage] = peak() - before;
      stage = progress.stage;
    },
  });
  console.log(JSON.stringify({ ...growth, all: peak() - before, checked: fidelity.samples }));
}

main(...process.argv.slice(2));
