/** Sets of channels that share a scale: a union of channels of tensors, some of them pinned to the scale 1. */
import { refKey } from '../../graph/edit';
import type { Shapes } from '../../graph/infer-shapes';
import type { TensorRef } from '../../graph/ir';

/** Channels of a tensor: the last axis; 0 where it is not known. */
export function channelsOf(shapes: Shapes, ref: TensorRef): number {
  return Math.max(shapes.get(refKey(ref))?.at(-1) ?? 0, 0);
}

export class ChannelClasses {
  private readonly first = new Map<string, number>();
  private readonly counts = new Map<string, number>();
  private readonly parent: number[] = [];
  private readonly pinned = new Set<number>();

  constructor(private readonly shapes: Shapes) {}

  channels(ref: TensorRef): number {
    return channelsOf(this.shapes, ref);
  }

  /** Gives every channel of a tensor a class of its own, unless it has one already. */
  add(ref: TensorRef): number {
    const key = refKey(ref);
    const known = this.first.get(key);
    if (known !== undefined) return known;
    const first = this.parent.length;
    this.first.set(key, first);
    this.counts.set(key, this.channels(ref));
    for (let c = this.channels(ref); c > 0; c--) this.parent.push(this.parent.length);
    return first;
  }

  private id(ref: TensorRef, channel: number): number {
    return this.root(this.add(ref) + channel);
  }

  private root(id: number): number {
    let root = id;
    while (this.parent[root] !== root) root = this.parent[root];
    for (let at = id; at !== root; ) {
      const next = this.parent[at];
      this.parent[at] = root;
      at = next;
    }
    return root;
  }

  tie(a: TensorRef, channelA: number, b: TensorRef, channelB: number): void {
    const [rootA, rootB] = [this.id(a, channelA), this.id(b, channelB)];
    if (rootA === rootB) return;
    this.parent[rootA] = rootB;
    if (this.pinned.delete(rootA)) this.pinned.add(rootB);
  }

  /** Gives all channels of a tensor the scale 1. */
  pin(ref: TensorRef): void {
    for (let c = 0; c < this.channels(ref); c++) this.pinned.add(this.id(ref, c));
  }

  /** The class of a channel; undefined for a tensor that no node tied, added or pinned, or of unknown channels. */
  find(key: string, channel: number): number | undefined {
    const first = this.first.get(key);
    return first === undefined || channel >= this.counts.get(key)! ? undefined : this.root(first + channel);
  }

  isPinned(id: number): boolean {
    return this.pinned.has(id);
  }
}
