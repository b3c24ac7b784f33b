/** Bundles the reference suites of kernels for a page: `globalThis.suites()` runs them. */
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';

const root = resolve(__dirname, '..', '..', '..');

/** What a page has in place of files for Node.js. */
const STANDINS: Readonly<Record<string, string>> = {
  'src/runtime/node-engine': 'test/support/page/node-engine.ts',
  'src/kernels.node': 'src/kernels.ts',
};

const standIns: Plugin = {
  name: 'stand-ins',
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ path, resolveDir }) => {
      const file = resolve(resolveDir, path);
      const found = Object.keys(STANDINS).find((name) => file === join(root, name));
      return found === undefined ? undefined : { path: join(root, STANDINS[found]) };
    });
  },
};

const folder = join(root, 'test', 'kernels');

/**
 * Bundles the suites and code that runs them.
 *
 * @param engine of `createNodeEngine`
 */
async function bundle(
  { engine, code, outfile }: { engine: string; code: string; outfile: string },
  options: BuildOptions,
): Promise<void> {
  const suites = readdirSync(folder).filter((file) => /^reference-.*\.test\.ts$/.test(file));
  const contents = [
    `import { run } from '../support/page/jest';`,
    `import { createNodeEngine } from '${engine}';`,
    ...suites.map((file) => `import './${file}';`),
    code,
  ];
  await build({
    stdin: { contents: contents.join('\n'), resolveDir: folder },
    bundle: true,
    outfile,
    // package.json says that files other than entries have no effects.
    ignoreAnnotations: true,
    logLevel: 'error',
    ...options,
  });
}

/**
 * Writes suites.cjs for Node.js, which prints what `suites` returns in a page, and the form of the dot product.
 *
 * @param outdir within the repository, by which modules are found
 * @param cases how many of each series are run at most
 */
export async function bundleForNode(outdir: string, cases: number): Promise<void> {
  const code = `
    const { supportedIsas: isas, dotForm } = createNodeEngine();
    run().then((found) => console.log(JSON.stringify({ isas, dotForm, ...found })));`;
  await bundle(
    { engine: '../../src/runtime/node-engine', code, outfile: join(outdir, 'suites.cjs') },
    {
      format: 'cjs',
      platform: 'node',
      target: 'node20',
      define: { 'process.env.LOWBIT_TEST_CASES': JSON.stringify(String(cases)) },
    },
  );
}

/**
 * Writes suites.mjs.
 *
 * @param cases how many of each series are run at most
 */
export async function bundleSuites(outdir: string, cases: number): Promise<void> {
  const code = `
    globalThis.suites = async () => ({ isas: createNodeEngine().supportedIsas, ...(await run()) });`;
  await bundle(
    { engine: '../support/page/node-engine', code, outfile: join(outdir, 'suites.mjs') },
    {
      plugins: [standIns],
      format: 'esm',
      platform: 'browser',
      target: 'es2022',
      define: { 'process.env': JSON.stringify({ LOWBIT_TEST_CASES: String(cases) }) },
    },
  );
}
