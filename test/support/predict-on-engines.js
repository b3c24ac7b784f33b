/**
 * Converts a model and prints, for each instruction set given, the engine and a hash of the outputs for two samples.
 * It takes the built package, as the backend of TF.js that it converts with does not load within jest.
 */
const { createHash } = require('node:crypto');
const { join } = require('node:path');

const built = (...file) => require(join(__dirname, '..', '..', 'dist', 'src', ...file));
const { convert } = built('convert.js');
const { engineInfo, setIsa } = built('index.node.js');
const { syntheticSample } = built('graph', 'samples.js');
const { ModelSession } = built('loading', 'session.js');
const { importBackend, withBackend } = built('tfjs', 'backends.js');

async function predict(location) {
  const session = await ModelSession.load(location);
  const hash = createHash('sha256');
  let distinct = 0;
  for (const seed of [1, 2]) {
    for (const { name, values } of await session.predict(syntheticSample(session.inputs, 1, seed))) {
      hash.update(name).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
      distinct = Math.max(distinct, new Set(values).size);
    }
  }
  session.dispose();
  return { hash: hash.digest('hex'), distinct };
}

async function main([input, output, ...isas]) {
  await convert({ input, output, calibration: 'random' });
  const results = {};
  await withBackend(await importBackend(), async () => {
    for (const isa of isas) {
      setIsa(isa);
      results[isa] = { engine: engineInfo().kind, ...(await predict(join(output, 'model.json'))) };
    }
  });
  console.log(JSON.stringify(results));
}

main(process.argv.slice(2));
