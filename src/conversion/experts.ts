/** Conversion of mixture-of-experts layers: their experts go into a container beside the model. */

import { checkArgument } from '../base/errors';
import type { Graph } from '../graph/ir';
import { EXPERTS_FILE, MIXTURE_OP } from '../graph/mixture';
import { graphModelBytes } from '../graph/write-graph-model';
import { checkBudget } from '../moe/memory-budget';
import type { ExpertsMetadata } from '../moe/model-experts';
import { type ExpertBytes, PAGE_BYTES, pageAligned, writeContainer } from '../moe/store/container';
import type { ExpertFormat } from '../moe/store/expert-bytes';
import { WEIGHT_FORMATS } from '../quantization/layer-weights';
import type { NodeRecord, QuantizationReport } from './convert';
import { extractExperts, packLayers } from './extract-experts';

export interface ExpertPackOptions {
  /** Precisions of each expert; the first is what is read by default. Default: int8. */
  readonly formats?: readonly ExpertFormat[];
  /**
   * Memory that experts take when the model runs, unless its loader is told otherwise: a share of all (`25%`), bytes
   * (`64MB`), a kind of device (`MEMORY_PRESETS`), or `auto` (default), half of what the process may have.
   */
  readonly budget?: string;
}

/** The experts of a converted model. */
export interface ExpertReport {
  readonly layers: number;
  /** Of a layer. */
  readonly experts: number;
  readonly topK: number;
  readonly budget: string;
  /** Bytes of one expert and of all. */
  readonly precisions: readonly {
    readonly name: string;
    readonly expertBytes: number;
    readonly bytes: number;
  }[];
}

type Converted = QuantizationReport & { readonly graph: Graph };

export function checkExpertOptions({ formats, budget }: ExpertPackOptions): void {
  checkArgument(formats === undefined || formats.length > 0, 'experts.formats', 'one or more', 0);
  for (const { format } of formats ?? []) {
    checkArgument(WEIGHT_FORMATS.includes(format), 'experts.formats', WEIGHT_FORMATS.join(', '), format);
  }
  if (budget !== undefined) checkBudget(budget);
}

/** Bytes that a converted graph takes on disk, its experts packed. */
export function packedModelBytes(
  graph: Graph,
  { formats = [{ format: 'int8' }] }: ExpertPackOptions = {},
): number {
  const extracted = extractExperts(graph);
  if (!extracted) return graphModelBytes(graph);
  const { model, experts } = packLayers(extracted, formats);
  // All experts of a precision are of one size.
  const each = Array.from(formats, () => pageAligned(experts.next().value!.bytes.length));
  const perExpert = each.reduce((sum, bytes) => sum + bytes, 0);
  return graphModelBytes(extracted.graph) + PAGE_BYTES + model.layers * model.experts * perExpert;
}

/** What `userDefinedMetadata` tells once the experts are packed. */
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
 * A converted graph without its experts, and what writes those; undefined where it has none.
 *
 * @param report called with each expert that is packed
 * @throws LowbitError as `extractExperts`
 */
export function withPackedExperts(
  converted: Converted,
  { formats = [{ format: 'int8' }], budget = 'auto' }: ExpertPackOptions = {},
  report: (stage: 'pack experts', done: number, total: number) => void,
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
