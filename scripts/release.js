// Makes the packages of a release in build/release, with their SHA-256 sums in SHA256SUMS, and publishes them.
//
//   npm run release -- --dry-run                    publishes nothing; says what would keep it from that
//   npm run release -- --dry-run linux-x64 ...      with the packages of these platforms only
//
// The packages of platforms are taken from build/platforms (npm run build:platforms).

const { execFileSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { writePackage } = require('./package-contents');
const { PLATFORMS, packageOf } = require('./platforms');

const root = path.resolve(__dirname, '..');
const platformDir = path.join(root, 'build', 'platforms');
const releaseDir = path.join(root, 'build', 'release');

const read = (...parts) => fs.readFileSync(path.join(root, ...parts), 'utf8');
const manifestOf = (folder) => JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));

/** The platforms of these names, or all. */
function choosePlatforms(names) {
  const unknown = names.filter((name) => !PLATFORMS.some((platform) => platform.name === name));
  if (unknown.length > 0) throw new Error(`No platform ${unknown.join(', ')} in scripts/platforms.js`);
  return PLATFORMS.filter(({ name }) => names.length === 0 || names.includes(name));
}

/** The folder of a platform's package. */
function folderOf({ name }) {
  const folder = path.join(platformDir, name);
  if (['lowbit.node', 'package.json'].every((file) => fs.existsSync(path.join(folder, file)))) return folder;
  throw new Error(`The package of ${name} is not built: npm run build:platforms -- ${name}`);
}

/** What is wrong with a change log that is to tell of a version. */
function changelogProblems(changelog, version) {
  const problems = [];
  const section = new RegExp(`^## ${version.replaceAll('.', '\\.')} \\((\\d{4}-\\d\\d-\\d\\d)\\)$`, 'm');
  if (!section.test(changelog)) {
    problems.push(`CHANGELOG.md has no section "## ${version} (YYYY-MM-DD)"`);
  }
  const unreleased = /^## Unreleased\n([\s\S]*?)(?=^## )/m.exec(changelog);
  if (unreleased === null) problems.push('CHANGELOG.md has no section "## Unreleased" before the others');
  else if (unreleased[1].trim() !== '') {
    problems.push(`CHANGELOG.md has changes under "Unreleased": they belong to ${version}`);
  }
  return problems;
}

/** What keeps the version from being published. */
function releaseProblems(folders) {
  const { version, repository } = manifestOf(root);
  const problems = changelogProblems(read('CHANGELOG.md'), version);
  const [, inSource] = /VERSION = '(.*?)'/.exec(read('src', 'base', 'version.ts'));
  if (inSource !== version) problems.push(`src/base/version.ts says ${inSource}, package.json ${version}`);
  for (const folder of folders) {
    const platform = manifestOf(folder);
    if (platform.version !== version) {
      problems.push(`${platform.name} has version ${platform.version}, package.json ${version}`);
    }
  }
  const tag = process.env.GITHUB_REF_NAME;
  if (tag && tag !== `v${version}`) problems.push(`the tag is ${tag}, package.json says ${version}`);
  if (!repository) problems.push('package.json names no repository, which provenance is checked against');
  return problems;
}

/** Packs a folder into build/release. */
function pack(folder) {
  const args = ['pack', folder, '--ignore-scripts', '--json', '--pack-destination', releaseDir];
  const [{ filename, size, unpackedSize, entryCount }] = JSON.parse(
    execFileSync('npm', args, { encoding: 'utf8', cwd: root, stdio: ['ignore', 'pipe', 'ignore'] }),
  );
  const sum = createHash('sha256')
    .update(fs.readFileSync(path.join(releaseDir, filename)))
    .digest('hex');
  return { filename, size, unpackedSize, entryCount, sum };
}

function main() {
  const { values, positionals } = parseArgs({
    options: { 'dry-run': { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  const platforms = choosePlatforms(positionals);
  const folders = platforms.map(folderOf);
  const problems = releaseProblems(folders);
  if (platforms.length < PLATFORMS.length) problems.push(`only some of ${PLATFORMS.length} platforms`);
  for (const problem of problems) console.error(`not to be published: ${problem}`);
  if (!values['dry-run'] && problems.length > 0) process.exit(1);

  fs.rmSync(releaseDir, { recursive: true, force: true });
  fs.mkdirSync(releaseDir, { recursive: true });
  const main = path.join(releaseDir, 'package');
  writePackage(main, platforms.map(packageOf));
  // The platforms first: whoever installs the package finds them.
  const tarballs = [...folders, main].map(pack);
  fs.rmSync(main, { recursive: true });
  fs.writeFileSync(
    path.join(releaseDir, 'SHA256SUMS'),
    tarballs.map(({ sum, filename }) => `${sum}  ${filename}\n`).join(''),
  );
  for (const { filename, size, unpackedSize, entryCount } of tarballs) {
    const megabytes = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`;
    console.log(`${filename}: ${megabytes(size)}, unpacked ${megabytes(unpackedSize)}, ${entryCount} files`);
  }
  if (values['dry-run']) return;
  for (const { filename } of tarballs) {
    const args = ['publish', path.join(releaseDir, filename), '--provenance', '--access', 'public'];
    execFileSync('npm', args, { stdio: 'inherit' });
  }
}

module.exports = { changelogProblems };

if (require.main === module) {
  try {
    main();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
