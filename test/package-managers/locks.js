/** A lock file that was made for one platform installs on another, and what is installed is for the platform that is asked for. */
const fs = require('node:fs');
const path = require('node:path');
const { call, environment, newProject, runExample } = require('./project');
const tools = require('./tools');

/** The platforms whose packages are in a project. */
function installedPlatforms(folder) {
  const modules = path.join(folder, 'node_modules');
  const scope = path.join(modules, '@tfjs-lowbit');
  if (fs.existsSync(scope)) return fs.readdirSync(scope);
  const store = path.join(modules, '.pnpm');
  const found = fs.existsSync(store) ? fs.readdirSync(store) : [];
  return found.flatMap((name) => /^@tfjs-lowbit\+([\w-]+)@/.exec(name)?.[1] ?? []);
}

const forPlatform = ({ os, cpu, libc }) => [
  `--os=${os}`,
  `--cpu=${cpu}`,
  ...(libc ? [`--libc=${libc}`] : []),
];

const npm = (version) => ({
  lock: ['node', tools.npm(version), 'install', '--package-lock-only', '--no-audit', '--no-fund'],
  install: ['node', tools.npm(version), 'ci', '--no-audit', '--no-fund'],
});

/** By the name of managers.js: how a lock file alone is made, how one is followed. */
const COMMANDS = {
  'npm 10': npm(10),
  'npm 11': npm(11),
  'npm 12': npm(12),
  pnpm: {
    lock: ['node', tools.pnpm, 'install', '--lockfile-only'],
    install: ['node', tools.pnpm, 'install', '--frozen-lockfile'],
  },
};

function succeed({ status, output }) {
  if (status !== 0) throw new Error(output);
}

/**
 * @param platforms those whose packages the registry has; one of them is that of this machine
 * @param here the name of that one
 */
function tryLocks(manager, platforms, here, { url, folder, ...context }) {
  const { lock, install } = COMMANDS[manager.name];
  const env = environment(path.join(folder, 'home'), manager.node);
  const target = newProject(path.join(folder, 'project'), manager, url);
  const options = { cwd: target, env };
  const others = platforms.filter(({ name }) => name !== here);
  const result = { name: manager.name, 'made for': others[0].name };
  try {
    // Made for another platform, followed here.
    succeed(call([...lock, ...forPlatform(others[0])], options));
    succeed(call(install, options));
    const found = installedPlatforms(target);
    // npm 10 writes no libc into lock files, and installs the packages of both.
    const engine = found.includes(here) ? runExample(manager.run, context, options).engine : 'absent';
    result.here = found.length > 1 ? `${engine}, of ${found}` : engine;
    // And followed for every other platform.
    const wrong = others.filter((platform) => {
      fs.rmSync(path.join(target, 'node_modules'), { recursive: true });
      succeed(call([...install, ...forPlatform(platform)], options));
      return !installedPlatforms(target).includes(platform.name);
    });
    result.elsewhere =
      wrong.length === 0 ? `right on ${others.length}` : `WRONG: ${wrong.map((p) => p.name)}`;
    result.good = engine === 'native' && wrong.length === 0;
  } catch (error) {
    console.error(`\nLock files of ${manager.name}: ${error.message}`);
    Object.assign(result, { here: result.here ?? 'FAILED', elsewhere: 'FAILED', good: false });
  }
  return result;
}

module.exports = { LOCKING: Object.keys(COMMANDS), tryLocks };
