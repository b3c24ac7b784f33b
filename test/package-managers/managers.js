/** The package managers: what they are told, how they install, how they run a program. */
const fs = require('node:fs');
const path = require('node:path');
const tools = require('./tools');

const write = (folder, name, text) => fs.writeFileSync(path.join(folder, name), text);

/** What npm, pnpm, Bun and Deno read. */
const npmrc = (folder, url) => write(folder, '.npmrc', `registry=${url}\n`);

/** Yarn, like pnpm and Deno, refuses by default what was published within the last day or days. */
const yarnrc = (linker) => (folder, url) =>
  write(
    folder,
    '.yarnrc.yml',
    JSON.stringify({
      npmRegistryServer: url,
      unsafeHttpWhitelist: ['127.0.0.1'],
      nodeLinker: linker,
      enableTelemetry: false,
      npmMinimalAgeGate: 0,
    }),
  );

const npm = (version, node) => ({
  name: `npm ${version}`,
  node,
  configure: npmrc,
  install: ['node', tools.npm(version), 'install', '--no-audit', '--no-fund'],
  run: ['node', 'main.mjs'],
});

/**
 * - `node` whose version runs it
 * - `configure` writes what it is told into a project
 * - `install`, `run` its commands; `node` is that of PATH
 */
const MANAGERS = [
  npm(10, 20),
  npm(11, 24),
  npm(12, 26),
  {
    name: 'pnpm',
    node: 22,
    configure(folder, url) {
      npmrc(folder, url);
      write(folder, 'pnpm-workspace.yaml', JSON.stringify({ minimumReleaseAge: 0 }));
    },
    install: ['node', tools.pnpm, 'install'],
    run: ['node', 'main.mjs'],
  },
  {
    name: 'yarn, node_modules',
    node: 22,
    configure: yarnrc('node-modules'),
    install: ['node', tools.yarn, 'install'],
    run: ['node', 'main.mjs'],
  },
  {
    name: 'yarn, Plug’n’Play',
    node: 24,
    configure: yarnrc('pnp'),
    install: ['node', tools.yarn, 'install'],
    run: ['node', tools.yarn, 'node', 'main.mjs'],
  },
  { name: 'bun', node: 22, configure: npmrc, install: [tools.bun, 'install'], run: [tools.bun, 'main.mjs'] },
  {
    name: 'deno',
    node: 22,
    configure(folder, url) {
      npmrc(folder, url);
      write(folder, 'deno.json', JSON.stringify({ minimumDependencyAge: 0 }));
    },
    install: [tools.deno, 'install'],
    run: [tools.deno, 'run', '--allow-all', 'main.mjs'],
  },
];

module.exports = { MANAGERS };
