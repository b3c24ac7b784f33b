// Converts the model of argv[2] to argv[3], and prints how far the resident set of the process had grown at its highest by
// the end of each stage, in bytes.

const { convert } = require('../../dist/src/convert.js');

const peak = () => process.resourceUsage().maxRSS * 1024;

async function main(input, output) {
  const before = process.memoryUsage.rss();
  const growth = {};
  let stage;
  await convert({
    input,
    output,
    // With random data nothing runs the float model once more to check the converted one.
    calibration: 'random',
    samples: 1,
    onProgress: (progress) => {
      if (stage !== undefined) growth[stage] = peak() - before;
      stage = progress.stage;
    },
  });
  console.log(JSON.stringify({ ...growth, all: peak() - before }));
}

main(process.argv[2], process.argv[3]);
