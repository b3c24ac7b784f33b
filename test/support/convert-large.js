// Converts the model of argv[2] to argv[3], and prints how far the resident set of the process had grown at its highest by
// the end of each stage, in bytes.

const { convert } = require('../../dist/src/convert.js');

const peak = () => process.resourceUsage().maxRSS * 1024;

async function* oneSample([{ name, shape }]) {
  const values = Float32Array.from({ length: shape[1] }, (_, i) => Math.sin(i));
  yield { [name]: { dtype: 'float32', shape: [1, shape[1]], values } };
}

async function main(input, output) {
  const before = process.memoryUsage.rss();
  const growth = {};
  let stage;
  await convert({
    input,
    output,
    calibration: oneSample,
    onProgress: (progress) => {
      if (stage !== undefined) growth[stage] = peak() - before;
      stage = progress.stage;
    },
  });
  console.log(JSON.stringify({ ...growth, all: peak() - before }));
}

main(process.argv[2], process.argv[3]);
