/** Tables of embeddings: their rows are stored in INT8, each with a scale of its own, and looked up beside the regions. */
import type { Shapes } from '../../../graph/infer-shapes';
import type { Constant, Graph } from '../../../graph/ir';
import { piecesOf } from '../../../graph/stored-constants';
import { isInfinite } from '../../../graph/weights';
import { weightCount } from '../../linear-op';
import { readTable, type Table } from '../../weight-only/find';

/** A constant of its own is not worth it for fewer numbers. */
const MIN_NUMBERS = 4096;

/** Shorter rows save little, and are boxes or coordinates rather than embeddings. */
const MIN_DEPTH = 8;

/** Whether it holds identifiers, counts or choices, which something may compare. */
function holdsWholeNumbers(constant: Constant): boolean {
  for (const { values } of piecesOf(constant)) {
    for (const value of values) if (!Number.isInteger(value)) return false;
  }
  return true;
}

function reasonAgainst({ constant }: Table): string | undefined {
  if (isInfinite(constant)) return 'its table holds infinity or NaN, for which there is no code';
  const count = weightCount(constant);
  const depth = constant.shape[1];
  if (count < MIN_NUMBERS) return `its table has only ${count} numbers`;
  if (depth < MIN_DEPTH) return `the rows of its table have only ${depth} numbers`;
  return holdsWholeNumbers(constant) ? 'its table holds whole numbers' : undefined;
}

/**
 * @param requested nodes to leave in float
 * @returns the tables, and why others stay float, by node
 */
export function findTables(
  graph: Graph,
  shapes: Shapes,
  requested: ReadonlyMap<string, string> = new Map(),
): { tables: Map<string, Table>; float: Map<string, string> } {
  const tables = new Map<string, Table>();
  const float = new Map<string, string>();
  for (const node of graph.nodes.values()) {
    const { name } = node;
    const table = requested.has(name) ? undefined : readTable(graph, shapes, node);
    if (table === undefined) continue;
    const reason = typeof table === 'string' ? table : reasonAgainst(table);
    if (reason !== undefined) float.set(name, reason);
    else tables.set(name, table as Table);
  }
  return { tables, float };
}
