const { execFileSync } = require('node:child_process');
const path = require('node:path');

const main = path.resolve(__dirname, '..', '..', 'dist', 'src', 'cli', 'main.js');

/** Converts a model by the command, on meaningless data. */
function convertByCommand(input, output, ...options) {
  const args = ['convert', '--input', input, '--output', output, '--calibration', 'random', ...options];
  execFileSync(process.execPath, [main, ...args], { stdio: 'ignore' });
}

module.exports = { convertByCommand };
