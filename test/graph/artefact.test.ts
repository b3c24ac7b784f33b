import { ARTEFACT_FORMAT_VERSION, artefactMetadata } from '../../src/graph/artefact';
import type { Graph } from '../../src/graph/ir';

function graphWith(lowbit?: object): Graph {
  const source = { userDefinedMetadata: { lowbit } };
  return { nodes: new Map(), constants: new Map(), inputs: [], outputs: [], source };
}

test('an artefact of a newer format is refused, with the version to install', () => {
  const metadata = { formatVersion: ARTEFACT_FORMAT_VERSION, toolVersion: '9.8.7', layers: [] };
  expect(artefactMetadata(graphWith(metadata), 'model.json')).toEqual(metadata);
  const newer = graphWith({ ...metadata, formatVersion: ARTEFACT_FORMAT_VERSION + 1 });
  expect(() => artefactMetadata(newer, 'model.json')).toThrow(/written by tfjs-lowbit 9\.8\.7; install/);
});

test('a model of another tool has no artefact', () => {
  expect(() => artefactMetadata(graphWith(), 'model.json')).toThrow(/model\.json was not converted/);
});
