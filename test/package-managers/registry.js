/** A registry of npm packages on this machine: it has what build/release holds, and asks npm's own for everything else. */
const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const tools = require('./tools');

function freePort() {
  return new Promise((found) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });
}

function config(folder, upstream) {
  const everyone = { access: '$all', publish: '$all' };
  return {
    storage: path.join(folder, 'storage'),
    uplinks: { upstream: { url: upstream, maxage: '1h', timeout: '60s' } },
    packages: {
      '@tfjs-lowbit/*': everyone,
      'tfjs-lowbit': everyone,
      '**': { access: '$all', proxy: 'upstream' },
    },
    log: { type: 'file', path: path.join(folder, 'registry.log'), level: 'warn' },
    max_body_size: '100mb',
  };
}

async function untilItAnswers(url, server) {
  for (let tries = 0; tries < 100; tries++) {
    if (server.exitCode !== null) throw new Error(`the registry ended with ${server.exitCode}`);
    const answer = await fetch(new URL('-/ping', url)).catch(() => undefined);
    if (answer?.ok) return;
    await new Promise((next) => setTimeout(next, 200));
  }
  throw new Error('the registry does not answer');
}

/** @returns its URL, and how to stop it */
async function startRegistry(folder) {
  const upstream = execFileSync('npm', ['config', 'get', 'registry'], {
    encoding: 'utf8',
    cwd: folder,
  }).trim();
  const file = path.join(folder, 'config.json');
  fs.writeFileSync(file, JSON.stringify(config(folder, upstream)));
  const port = await freePort();
  const node = path.join(tools.nodeFolder(22), 'node');
  const server = spawn(node, [tools.verdaccio, '--config', file, '--listen', `127.0.0.1:${port}`], {
    stdio: 'ignore',
  });
  const url = `http://127.0.0.1:${port}/`;
  await untilItAnswers(url, server);
  return { url, stop: () => server.kill() };
}

/** Publishes a tarball. */
function publish(url, tarball, env) {
  const token = `--${url.replace('http:', '')}:_authToken=anyone`;
  const args = ['publish', tarball, '--registry', url, token, '--loglevel=error'];
  execFileSync('npm', args, { stdio: ['ignore', 'ignore', 'inherit'], env });
}

module.exports = { publish, startRegistry };
