/**
 * The package as it is published: what package.json names in `files`, with a package.json of what users need. The packages
 * of platforms are named there only: in a clone `npm ci` would refuse a lock file without them.
 */
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.resolve(__dirname, '..');

/** What only a clone needs. */
const LEFT_OUT = ['scripts', 'devDependencies'];

/** The package.json of the published package. */
function manifest(platforms) {
  const entries = Object.entries(JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')));
  const published = Object.fromEntries(entries.filter(([key]) => !LEFT_OUT.includes(key)));
  const { version } = published;
  return {
    ...published,
    optionalDependencies: Object.fromEntries(platforms.map((name) => [name, version])),
  };
}

/** Source maps name sources that are not published. */
function published(file) {
  const bytes = fs.readFileSync(path.join(root, file));
  if (!file.endsWith('.js')) return bytes;
  return bytes.toString('utf8').replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
}

/**
 * Writes the package, unpacked.
 *
 * @param folder to write it to; it is emptied
 * @param platforms names of the packages that it takes the native engine from
 */
function writePackage(folder, platforms) {
  const list = ['pack', '--dry-run', '--ignore-scripts', '--json'];
  const [{ files }] = JSON.parse(execFileSync('npm', list, { encoding: 'utf8', cwd: root, stdio: 'pipe' }));
  fs.rmSync(folder, { recursive: true, force: true });
  for (const { path: file, mode } of files) {
    const target = path.join(folder, file);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, published(file), { mode });
  }
  fs.writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest(platforms), null, 2)}\n`);
}

module.exports = { writePackage };
