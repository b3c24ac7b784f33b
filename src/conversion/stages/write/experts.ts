/** Mixture-of-experts layers of a converted model: their experts go into a container beside the model. */

import { graphModelBytes } from '../../../graph/encode-graph-model';
import type { Graph } from '../../../graph/ir';
import { EXPERTS_FILE, MIXTURE_OP } from '../../../graph/mixture';
import type { ExpertsMetadata } from '../../../moe/model-experts';
import { type ExpertBytes, PAGE_BYTES, pageAligned, writeContainer } from '../../../moe/store/container';
import type { ReportProgress } from '../../progress';
import type { ExpertReport, NodeRecord } from '../../report-types';
import type { ExpertPacking } from '../../settings';
import type { ConvertedModel } from '../../stage-results';
import { extractExperts, packLayers } from './extract-experts';

/** Bytes of a converted graph on disk, its experts packed. */
export function packedModelBytes(graph: Graph, { formats }: ExpertPacking): number {
  const extracted = extractExperts(graph);
  if (!extracted) return graphModelBytes(graph);
  const { model, experts } = packLayers(extracted, formats);
  // All experts of a precision are of one size.
  const each = Array.from(formats, () => pageAligned(experts.next().value!.bytes.length));
  const perExpert = each.reduce((sum, bytes) => sum + bytes, 0);
  return graphModelBytes(extracted.graph) + PAGE_BYTES + model.layers * model.experts * perExpert;
}

/** `userDefinedMetadata` once the experts are packed. */
function metadataOf({ source }: Graph, records: readonly NodeRecord[], experts: ExpertsMetadata) {
  const metadata = source.userDefinedMetadata as { lowbit: { layers: NodeRecord[] } };
  const { lowbit } = metadata;
  const names = new Set(records.map(({ name }) => name));
  const layers = [
    ...lowbit.layers.filter(({ name }) => !names.has(name)),
    ...records.map((record) => ({ ...record, precision: 'float32' })),
  ];
  return { ...metadata, lowbit: { ...lowbit, layers, experts } };
}

/**
 * A converted model without its experts, and a function that writes those; undefined where it has none.
 *
 * @param report called with each expert that is packed
 * @throws LowbitError as `extractExperts`
 */
export function withPackedExperts(
  converted: ConvertedModel,
  { formats, budget }: ExpertPacking,
  report: ReportProgress,
) {
  const extracted = extractExperts(converted.graph);
  if (!extracted) return undefined;
  const { graph, layers } = extracted;
  const { model, experts } = packLayers(extracted, formats);
  const [{ topK }] = layers;
  const records = extracted.nodes.map(
    (name): NodeRecord => ({ name, op: MIXTURE_OP, weights: formats[0].format }),
  );
  const userDefinedMetadata = metadataOf(graph, records, { file: EXPERTS_FILE, topK, budget });
  const sizes = formats.map(() => 0);
  function* reported(): Generator<ExpertBytes> {
    let done = 0;
    for (const each of experts) {
      report('pack experts', done++, model.layers * model.experts * formats.length);
      sizes[each.precision] = each.bytes.length;
      yield each;
    }
  }
  return {
    converted: {
      ...converted,
      graph: { ...graph, source: { ...graph.source, userDefinedMetadata } },
      quantized: [...converted.quantized, ...records],
      float: converted.float.filter(({ name }) => !extracted.nodes.includes(name)),
    },
    write: (path: string) => writeContainer(path, model, reported()),
    report: (): ExpertReport => ({
      layers: model.layers,
      experts: model.experts,
      topK,
      budget,
      precisions: formats.map(({ format }, i) => ({
        name: format,
        expertBytes: sizes[i],
        bytes: sizes[i] * model.layers * model.experts,
      })),
    }),
  };
}
