// @needs engine
/** A model with experts in a file needs the entry that opens them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import { fileSystem } from '../../src/index.node';
import { temporaryFolder } from '../support/tiny-model';

test('the error without it names it; with it, the experts are opened', async () => {
  const location = join(temporaryFolder(), 'model.json');
  const experts = { file: 'experts.lbme', topK: 2, budget: '25%' };
  const model = {
    format: 'graph-model',
    modelTopology: { node: [], versions: { producer: 808 } },
    weightsManifest: [],
    userDefinedMetadata: { lowbit: { formatVersion: 1, experts } },
  };
  writeFileSync(location, JSON.stringify(model));
  const load = () => loadGraphModel(fileSystem(location));
  await expect(load()).rejects.toMatchObject({
    name: 'LowbitError',
    code: 'engine-unavailable',
    message: expect.stringContaining("import 'tfjs-lowbit/moe' before loading it"),
  });
  require('../../src/moe');
  await expect(load()).rejects.toThrow(/Cannot open the experts in .*experts\.lbme/);
});
