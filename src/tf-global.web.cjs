/** TF.js of a page that takes it by script tags: stands for its packages in dist/web/global.mjs. */
const { LowbitError } = require('./base/errors');

if (globalThis.tf === undefined) {
  throw new LowbitError(
    'engine-unavailable',
    "tfjs-lowbit found no TF.js: put its script, such as https://cdn.jsdelivr.net/npm/@tensorflow/tfjs, before this page's.",
  );
}

module.exports = globalThis.tf;
