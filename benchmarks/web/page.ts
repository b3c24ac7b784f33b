/** A page of a user of the package: TF.js and the build for browsers, bundled, and a server for both and for models. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { packageRoot } from '../../src/base/package-root';

const root = packageRoot();
const modules = join(root, 'node_modules', '@tensorflow');

const APP = `
  import * as tf from '@tensorflow/tfjs-core';
  import '@tensorflow/tfjs-backend-cpu';
  import { setThreadsCount, setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
  import { loadGraphModel } from '@tensorflow/tfjs-converter';
  import * as lowbit from 'tfjs-lowbit';
  setWasmPaths(new URL('/tfjs/', import.meta.url).href);
  globalThis.app = { tf, loadGraphModel, lowbit, setThreadsCount };
`;

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.png': 'image/png',
  '.wasm': 'application/wasm',
};

const PAGE = '<!doctype html><title>app</title><script type="module" src="/app/built/app.mjs"></script>';

/** Content-Security-Policies, by the page that has them. */
const POLICIES: Record<string, string> = {
  '/strict.html': "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'",
  '/isolated-strict.html': "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'",
  '/without-wasm.html': "default-src 'none'; script-src 'self'; connect-src 'self'",
};

/** Pages that are isolated, and so have shared memory. */
const ISOLATED = ['/isolated.html', '/isolated-strict.html'];

export interface WebServer {
  readonly url: string;
  /** Paths that were asked for, in order. */
  readonly requests: string[];
  close(): void;
}

/** The builds for browsers stand for the package. */
const ownEntries: Plugin = {
  name: 'own-entries',
  setup({ onResolve }) {
    onResolve({ filter: /^tfjs-lowbit(\/|$)/ }, ({ path }) => {
      const [, entry = 'index'] = path.split('/');
      return { path: join(root, 'dist', 'web', `${entry}.mjs`) };
    });
  },
};

/**
 * @param folders more folders to serve, by the start of their paths
 * @param more code of the app, after that of any page
 */
export async function serveApp(folders: Readonly<Record<string, string>>, more = ''): Promise<WebServer> {
  const { outputFiles } = await build({
    stdin: { contents: APP + more, resolveDir: root },
    plugins: [ownEntries],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    logLevel: 'error',
  });
  const app = outputFiles[0].contents;
  const all: Record<string, string> = {
    '/native/': join(root, 'native'),
    '/octets/': join(root, 'native', 'web', 'modules'),
    '/tfjs/': join(modules, 'tfjs-backend-wasm', 'dist'),
    ...folders,
  };
  const requests: string[] = [];
  const contentOf = (path: string): Uint8Array | string | undefined => {
    if (path === '/app/built/app.mjs') return app;
    const start = Object.keys(all).find((prefix) => path.startsWith(prefix));
    if (start === undefined) {
      // As servers of single-page applications answer whatever they are asked for.
      return path.endsWith('.html') || path.startsWith('/any/') ? PAGE : undefined;
    }
    return readFileSync(join(all[start], normalize(`/${path.slice(start.length)}`)));
  };
  const server = createServer((request, response) => {
    const [url] = (request.url ?? '/').split('?');
    requests.push(url);
    let content: Uint8Array | string | undefined;
    try {
      content = contentOf(url);
    } catch {
      // Not there.
    }
    if (content === undefined) {
      response.writeHead(404, { 'content-type': 'text/html' }).end('<!doctype html>nothing here');
      return;
    }
    const type = url.startsWith('/octets/')
      ? undefined
      : content === PAGE
        ? 'text/html'
        : TYPES[extname(url)];
    const policy = POLICIES[url];
    response
      .writeHead(200, {
        'content-type': type ?? 'application/octet-stream',
        ...(policy && { 'content-security-policy': policy }),
        ...(ISOLATED.includes(url) && { 'cross-origin-opener-policy': 'same-origin' }),
        // An isolated page starts only workers whose scripts have it too.
        ...((ISOLATED.includes(url) || type === TYPES['.mjs']) && {
          'cross-origin-embedder-policy': 'require-corp',
        }),
      })
      .end(content);
  });
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', () => listening());
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
