// @needs engine
/** Pages of users: built by bundlers without configuration, and by script tags without any. In Chromium. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { buildSync } from 'esbuild';
import type { Browser } from 'puppeteer-core';
import { openBrowser } from '../../benchmarks/web/chromium';
import { serveApp, type WebServer } from '../../benchmarks/web/page';
import { describeWithBrowser } from '../support/browser';
import { convertDemo, type DemoModel } from '../support/demo-model';
import { describeIf } from '../support/needs';
import { projectWith, publish } from '../support/published';

const root = resolve(__dirname, '..', '..');
const tools = join(root, 'build', 'tools', 'node_modules');

const LIMITS = { raw: 450_000, compressed: 150_000 };

test.each(readdirSync(join(root, 'native', 'web', 'modules')))('the module %s is small', (name) => {
  const bytes = readFileSync(join(root, 'native', 'web', 'modules', name));
  const compressed = gzipSync(bytes, { level: 9 }).length;
  console.log(`${name}: ${bytes.length} bytes, ${compressed} compressed`);
  expect(bytes.length).toBeLessThanOrEqual(LIMITS.raw);
  expect(compressed).toBeLessThanOrEqual(LIMITS.compressed);
});

/** Waits for nothing but the model; `before` comes before it is loaded. */
const script = (imports: string, shape: readonly number[], before = '') => `
  ${imports}
  ${before}
  const predict = async () => {
    await tf.setBackend('cpu');
    const model = await loadGraphModel('/model/model.json');
    const shape = [${shape}];
    const size = shape.reduce((product, dim) => product * dim, 1);
    const values = [0, 1].map((phase) => {
      const picture = Float32Array.from({ length: size }, (_, i) => ((i * 37 + phase * 11) % 256) / 255);
      return [...model.predict(tf.tensor(picture, shape)).dataSync()];
    });
    return { values, isa: lowbit.engineInfo().isa };
  };
  predict().then((found) => { globalThis.found = found; }, (error) => { globalThis.found = { error: String(error) }; });
`;

const IMPORTS = `
  import * as tf from '@tensorflow/tfjs-core';
  import '@tensorflow/tfjs-backend-cpu';
  import { loadGraphModel } from '@tensorflow/tfjs-converter';
  import * as lowbit from 'tfjs-lowbit';
`;

const SERVED_MODULES = `lowbit.setWasmPaths('/native/web/modules/');`;

const node = (folder: string, ...args: string[]) =>
  execFileSync(process.execPath, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });

interface Bundler {
  /** What it needs the user to say. */
  readonly before?: string;
  /** Builds main.js into the folder `built`, which has an index.html then. */
  build(folder: string): void;
}

const tag = (src: string) => `<!doctype html><title>page</title><script type="module" src="${src}"></script>`;

const BUNDLERS: Readonly<Record<string, Bundler>> = {
  Vite: {
    build(folder) {
      writeFileSync(join(folder, 'index.html'), tag('/main.js'));
      const vite = join(tools, 'vite', 'bin', 'vite.js');
      node(folder, vite, 'build', '--base', './', '--outDir', 'built', '--logLevel', 'error');
    },
  },
  webpack: {
    build(folder) {
      const config = `{ mode: 'production', entry: './main.js', output: { path: process.cwd() + '/built' },
        optimization: { minimize: false } }`; // which takes longest
      const callback = `(error, stats) => {
        if (error || stats.hasErrors()) { console.error(error || stats.toString()); process.exitCode = 1; }
      }`;
      node(folder, '-e', `require(${JSON.stringify(join(tools, 'webpack'))})(${config}, ${callback})`);
      writeFileSync(join(folder, 'built', 'index.html'), tag('./main.js'));
    },
  },
  Rollup: {
    before: SERVED_MODULES,
    build(folder) {
      const plugin = (name: string) =>
        JSON.stringify(join(tools, '@rollup', `plugin-${name}`, 'dist', 'es', 'index.js'));
      writeFileSync(
        join(folder, 'rollup.config.mjs'),
        `import commonjs from ${plugin('commonjs')};
         import resolve from ${plugin('node-resolve')};
         export default {
           input: 'main.js',
           output: { file: 'built/main.js', format: 'es' },
           plugins: [resolve({ browser: true }), commonjs()],
         };`,
      );
      node(folder, join(tools, 'rollup', 'dist', 'bin', 'rollup'), '-c', 'rollup.config.mjs', '--silent');
      writeFileSync(join(folder, 'built', 'index.html'), tag('./main.js'));
    },
  },
  esbuild: {
    before: SERVED_MODULES,
    build(folder) {
      const esbuild = join(root, 'node_modules', 'esbuild', 'bin', 'esbuild');
      const options = ['--bundle', '--format=esm', '--outfile=built/main.js', '--log-level=error'];
      execFileSync(esbuild, ['main.js', ...options], { cwd: folder });
      writeFileSync(join(folder, 'built', 'index.html'), tag('./main.js'));
    },
  },
};

describeWithBrowser('in Chromium', () => {
  let model: DemoModel;
  let published: string;
  let browser: Browser;
  let closeBrowser: () => Promise<void>;

  beforeAll(async () => {
    model = await convertDemo();
    published = publish();
    ({ browser, close: closeBrowser } = await openBrowser());
  }, 120_000);

  afterAll(async () => {
    await closeBrowser?.();
  });

  /** What a page finds, and what it asked for. */
  async function open(folders: Readonly<Record<string, string>>, path: string) {
    const server: WebServer = await serveApp({ '/model/': model.folder, ...folders });
    const page = await browser.newPage();
    const problems: string[] = [];
    const failed = new Promise<void>((failure) => {
      page.on('pageerror', (error) => {
        problems.push(String(error));
        failure();
      });
    });
    try {
      await page.goto(server.url + path, { waitUntil: 'load' });
      const answered = page.waitForFunction('globalThis.found !== undefined', { timeout: 20_000 });
      await Promise.race([answered.catch(() => {}), failed]);
      const found = await page.evaluate('globalThis.found');
      return { found, problems, modules: server.requests.filter((url) => url.endsWith('.wasm')) };
    } finally {
      await page.close();
      server.close();
    }
  }

  const right = () => ({ values: model.expected, isa: 'wasmrelaxed' });

  describeIf(existsSync(join(tools, 'vite')), 'bundlers: run npm run fetch:tools', 'a page built by', () => {
    test.each(Object.keys(BUNDLERS))('%s runs a converted model', async (name) => {
      const { before, build } = BUNDLERS[name];
      const folder = projectWith(published, { copied: true });
      writeFileSync(join(folder, 'main.js'), script(IMPORTS, model.shape, before));
      build(folder);
      const opened = await open({ '/built/': join(folder, 'built') }, '/built/index.html');
      expect(opened.problems).toEqual([]);
      expect(opened.found).toEqual(right());
      // Without a setting it comes from what was built.
      expect(opened.modules).toEqual([
        expect.stringMatching(before ? /^\/native\/web\/modules\/lowbit-relaxed/ : /^\/built\/.*\.wasm$/),
      ]);
    });
  });

  describe('a page without a bundler', () => {
    /** As a CDN serves packages. */
    const cdn = () => ({
      '/npm/tfjs-lowbit/': published,
      '/npm/@tensorflow/': join(root, 'node_modules', '@tensorflow'),
    });

    function pageWith(html: string): string {
      const folder = join(projectWith(published), 'page');
      mkdirSync(folder);
      writeFileSync(join(folder, 'index.html'), `<!doctype html><title>page</title>${html}`);
      return folder;
    }

    const scripts = ['core', 'converter', 'backend-cpu'].map(
      (part) => `<script src="/npm/@tensorflow/tfjs-${part}/dist/tf-${part}.min.js"></script>`,
    );

    test('takes TF.js and the package by script tags', async () => {
      const imports = `import * as lowbit from '/npm/tfjs-lowbit/dist/web/global.mjs'; const { loadGraphModel } = tf;`;
      const html = `${scripts.join('')}<script type="module">${script(imports, model.shape)}</script>`;
      const { found, problems, modules } = await open(
        { ...cdn(), '/page/': pageWith(html) },
        '/page/index.html',
      );
      expect(problems).toEqual([]);
      expect(found).toEqual(right());
      expect(modules).toEqual(['/npm/tfjs-lowbit/native/web/modules/lowbit-relaxed.wasm']);
    });

    test('is told where TF.js is missing', async () => {
      const html = `<script type="module">import '/npm/tfjs-lowbit/dist/web/global.mjs';</script>`;
      const { problems } = await open({ ...cdn(), '/page/': pageWith(html) }, '/page/index.html');
      expect(problems).toEqual([
        expect.stringMatching(/LowbitError: tfjs-lowbit found no TF\.js: put its script/),
      ]);
    });

    test('takes them by an import map', async () => {
      // As CDNs serve the packages of TF.js, which hold imports that no browser resolves.
      const folder = pageWith('');
      const parts = ['tfjs-core', 'tfjs-converter', 'tfjs-backend-cpu'];
      buildSync({
        entryPoints: parts.map((part) => ({
          in: join(root, 'node_modules', '@tensorflow', part, 'dist', 'index.js'),
          out: part,
        })),
        outdir: folder,
        bundle: true,
        splitting: true,
        format: 'esm',
        ignoreAnnotations: true,
        logLevel: 'error',
      });
      const imports = {
        ...Object.fromEntries(parts.map((part) => [`@tensorflow/${part}`, `/page/${part}.js`])),
        'tfjs-lowbit': '/npm/tfjs-lowbit/dist/web/index.mjs',
      };
      writeFileSync(
        join(folder, 'index.html'),
        `<!doctype html><title>page</title><script type="importmap">${JSON.stringify({ imports })}</script>
         <script type="module">${script(IMPORTS, model.shape)}</script>`,
      );
      const { found, problems } = await open({ ...cdn(), '/page/': folder }, '/page/index.html');
      expect(problems).toEqual([]);
      expect(found).toEqual(right());
    });
  });
});
