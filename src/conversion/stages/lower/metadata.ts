/** `userDefinedMetadata.lowbit` of a converted model. No times: the same input gives the same bytes. */
import { VERSION } from '../../../base/version';
import type { CalibrationProvenance } from '../../../calibration/runner';
import { ARTEFACT_FORMAT_VERSION } from '../../../graph/artefact';
import type { Graph } from '../../../graph/ir';
import type { NodeRecords } from '../../report-types';

interface Scheme {
  readonly scheme: string;
  /** Of what quantized nodes compute. */
  readonly precision: 'int8' | 'float32';
  readonly equalized?: boolean;
}

export function withMetadata(
  graph: Graph,
  records: NodeRecords,
  calibration: CalibrationProvenance,
  { scheme, precision, equalized = false }: Scheme,
): Graph {
  const formats = new Set(
    records.quantized.flatMap(({ weights = 'int8' }) => (weights === 'int8' ? [] : [weights])),
  );
  const lowbit = {
    formatVersion: ARTEFACT_FORMAT_VERSION,
    toolVersion: VERSION,
    scheme: [scheme, ...formats].join('; weights of some layers '),
    calibration,
    ...(equalized && { equalized }),
    layers: [
      ...records.quantized.map(({ activationPrecision, ...record }) => ({
        ...record,
        precision: activationPrecision === 'dynamic' ? 'dynamic int8' : (activationPrecision ?? precision),
      })),
      ...records.float.map((record) => ({ ...record, precision: 'float32' })),
    ],
  };
  const { userDefinedMetadata, ...source } = graph.source;
  return {
    ...graph,
    source: {
      ...source,
      convertedBy: `tfjs-lowbit v${VERSION}`,
      userDefinedMetadata: { ...(userDefinedMetadata as object | undefined), lowbit },
    },
  };
}
