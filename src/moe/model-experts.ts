/**
 * Opens the experts of converted models, as model.json describes them. Importing this file lets the `file://` handler
 * do so.
 */
import { join } from 'node:path';
import type { GraphModel } from '@tensorflow/tfjs-converter';
import type { io } from '@tensorflow/tfjs-core';
import { LowbitError } from '../base/errors';
import { attr } from '../graph/attrs';
import type { Graph, GraphNode, RawAttr } from '../graph/ir';
import { MIXTURE_OP } from '../graph/mixture';
import * as z from '../vendor/zod';
import { budgetBytes } from './memory-budget';
import { type MixtureOfExperts, moe } from './mixture';
import { type ExpertSettings, provideExpertLoader, registerMixture } from './open-experts';
import { fileSource } from './store/file-source';

/** `userDefinedMetadata.lowbit.experts` of a converted model. */
export interface ExpertsMetadata {
  /** Beside model.json. */
  file: string;
  topK: number;
  /** As `budgetBytes` reads it. */
  budget: string;
}

const metadataShape: z.ZodType<ExpertsMetadata> = z.object({
  file: z.string().regex(/^[^/\\]+$/),
  topK: z.int().positive(),
  budget: z.string(),
});

function expertsMetadata(source: Readonly<Record<string, unknown>>): ExpertsMetadata | undefined {
  const metadata = source.userDefinedMetadata as { lowbit?: { experts?: unknown } } | undefined;
  const experts = metadata?.lowbit?.experts;
  if (experts === undefined) return undefined;
  const parsed = metadataShape.safeParse(experts);
  if (parsed.success) return parsed.data;
  throw new LowbitError(
    'invalid-model',
    `The description of the experts in model.json is damaged: ${z.prettifyError(parsed.error)}. Convert it again.`,
  );
}

/**
 * Opens the experts of a converted model.
 *
 * @param folder of the model
 * @param owned closed with the model
 * @returns the mixture, and the `store` attribute of the model's nodes, valid for as long as the mixture lives
 * @throws LowbitError as `fileSource` and `moe`
 */
async function openModelExperts(
  { file, topK, budget }: ExpertsMetadata,
  folder: string,
  owned: boolean,
  { direct, ...settings }: ExpertSettings = {},
): Promise<{ mixture: MixtureOfExperts; store: RawAttr }> {
  const source = settings.source ?? (await fileSource(join(folder, file), { direct }));
  try {
    const given = settings.budgetBytes !== undefined || settings.tiers !== undefined;
    const bytes = given ? settings.budgetBytes : budgetBytes(budget, source.index, settings.precision);
    const mixture = moe({ ...settings, source, topK, budgetBytes: bytes });
    return { mixture, store: attr.int(registerMixture(mixture, owned)) };
  } catch (error) {
    if (!settings.source) await source.close();
    throw error;
  }
}

interface WithExperts {
  experts?: MixtureOfExperts;
}

interface RawNode {
  readonly op?: string;
  readonly attr?: Readonly<Record<string, RawAttr>>;
}

/** Opens the experts of artefacts and gives their nodes the `store`; the same artefacts where there are none. */
async function withExperts(
  artifacts: io.ModelArtifacts,
  folder: string,
  settings?: ExpertSettings,
): Promise<io.ModelArtifacts & WithExperts> {
  const metadata = expertsMetadata(artifacts as unknown as Record<string, unknown>);
  if (!metadata) return artifacts;
  const { mixture, store } = await openModelExperts(metadata, folder, true, settings);
  const topology = artifacts.modelTopology as { node?: readonly RawNode[] };
  const node = topology.node?.map((n) => (n.op === MIXTURE_OP ? { ...n, attr: { ...n.attr, store } } : n));
  return { ...artifacts, modelTopology: { ...topology, node }, experts: mixture };
}

provideExpertLoader(withExperts);

/** The same for a graph in memory; call `close` after its last run. */
export async function graphWithExperts(
  graph: Graph,
  folder: string,
): Promise<{ graph: Graph; close(): Promise<void> }> {
  const metadata = expertsMetadata(graph.source);
  if (!metadata) return { graph, close: async () => {} };
  const { mixture, store } = await openModelExperts(metadata, folder, false);
  const nodes = [...graph.nodes].map(([name, node]): [string, GraphNode] =>
    node.op === MIXTURE_OP ? [name, { ...node, attrs: { ...node.attrs, store } }] : [name, node],
  );
  return { graph: { ...graph, nodes: new Map(nodes) }, close: () => mixture.close() };
}

/** The open experts of a model that was loaded from its files, with their metrics and reserved memory. */
export function expertsOf(model: GraphModel): MixtureOfExperts | undefined {
  return (model as unknown as { artifacts?: WithExperts }).artifacts?.experts;
}
