import type { Graph } from '../graph/ir';

/** What a pass did to a node, or why it left it alone. */
export interface Change {
  readonly pass: string;
  readonly node: string;
  readonly action: 'rewrote' | 'declined';
  readonly detail: string;
}

export interface PassResult {
  readonly graph: Graph;
  readonly changes: readonly Change[];
}

/** A rewrite: a pure function of a graph whose result computes the same function in TF.js. */
export interface Pass {
  readonly name: string;
  apply(graph: Graph): PassResult;
}

/** Collects the changes of one run of a pass. */
export class ChangeLog {
  readonly changes: Change[] = [];

  constructor(private readonly pass: string) {}

  rewrote(node: string, detail: string): void {
    this.changes.push({ pass: this.pass, node, action: 'rewrote', detail });
  }

  declined(node: string, detail: string): void {
    this.changes.push({ pass: this.pass, node, action: 'declined', detail });
  }
}
