import { fileURLToPath } from 'node:url';

const fromHere = (path) => fileURLToPath(new URL(path, import.meta.url));

export default {
  base: './',
  // The package of this repository. A project of your own has it installed, and needs no configuration.
  resolve: { alias: { 'tfjs-lowbit': fromHere('../../dist/web/index.mjs') } },
  server: { fs: { allow: [fromHere('../..')] } },
  build: { chunkSizeWarningLimit: 2000 },
};
