/**
 * Experts in memory, within a budget of bytes: slots of one size, reserved once, that experts are read into.
 *
 * An expert counts as resident once it was read whole and its checksum is right. Experts in use are pinned, and pinned
 * experts are not evicted.
 */
import { checkArgument, LowbitError } from '../../base/errors';
import { currentEngine } from '../../runtime/current-engine';
import { ExpertAffinity } from '../affinity';
import { makePolicy, type OnlinePolicy } from '../cache/eviction-policy';
import { ResidentSet } from '../cache/resident-set';
import { CacheMetrics } from '../metrics';
import { type ExpertIndex, type ExpertRecord, pageAligned } from './container';
import type { ExpertSource } from './source';

export interface ExpertCacheOptions {
  readonly source: ExpertSource;
  /** Limit of the bytes of experts in memory. */
  readonly budgetBytes: number;
  /** Experts that one token uses in a layer. */
  readonly topK: number;
  /** Name of the precision to read; default: the first of the container. */
  readonly precision?: string;
  /** What is evicted. Default `lru`. */
  readonly policy?: OnlinePolicy;
  /** Limit of the bytes prefetched for layers that have not run yet. Default: a token's experts of one layer. */
  readonly speculativeBytes?: number;
  /** Default: one of its own. */
  readonly affinity?: ExpertAffinity;
  /** Default: of its own. */
  readonly metrics?: CacheMetrics;
  /** The budget need only hold a token's experts of one layer: the others come from another cache. Default false. */
  readonly partial?: boolean;
}

/** Experts in use; their bytes stay until `release` is called. */
export interface ExpertLease {
  /** In the order of the requested ids. */
  readonly bytes: readonly Uint8Array[];
  release(): void;
}

/** An expert that has a slot. */
interface Entry {
  readonly key: number;
  readonly record: ExpertRecord;
  readonly memory: Uint8Array;
  pins: number;
  /** It was read whole and its checksum is right. */
  present: boolean;
  /** Settles when the slot is no longer written; rejects if the expert could not be read. */
  reading?: Promise<void>;
  /** Read ahead and not used yet. */
  speculative: boolean;
}

export class ExpertCache {
  readonly metrics: CacheMetrics;
  readonly affinity: ExpertAffinity;
  /** By layer, [experts]: 1 where an expert is in memory, as routing wants it. */
  readonly resident: readonly Int32Array[];
  readonly slotCount: number;
  private readonly records = new Map<number, ExpertRecord>();
  private readonly free: Uint8Array[];
  private readonly entries = new Map<number, Entry>();
  private readonly set: ResidentSet;
  private readonly source: ExpertSource;
  /** Bytes that an expert takes in memory. */
  readonly slotBytes: number;
  private readonly speculativeBytes: number;
  /** Experts that were read ahead for a layer that has not been computed since. */
  private readonly ahead = new Set<Entry>();
  private wakeWaiting: (() => void)[] = [];
  private turn: Promise<void> = Promise.resolve();
  private closed = false;

  /**
   * @throws LowbitError 'invalid-argument' if the budget does not hold the experts of one token in all layers (telling
   *   how many bytes do), or for a precision that is not there; 'invalid-weights' if an expert is missing
   */
  constructor(options: ExpertCacheOptions) {
    const {
      source,
      budgetBytes,
      topK,
      precision,
      policy = 'lru',
      speculativeBytes,
      partial = false,
    } = options;
    const { layers, experts, precisions, records } = source.index;
    const name = precision ?? precisions[0].name;
    const chosen = precisions.findIndex((p) => p.name === name);
    checkArgument(chosen >= 0, 'precision', `one of ${precisions.map((p) => p.name).join(', ')}`, name);
    this.source = source;
    for (const record of records) {
      if (record.precision === chosen) this.records.set(record.layer * experts + record.expert, record);
    }
    if (this.records.size !== layers * experts) {
      const missing = Array.from({ length: layers * experts }, (_, key) => key).find(
        (key) => !this.records.has(key),
      )!;
      const what = `expert ${missing % experts} of layer ${Math.floor(missing / experts)}`;
      throw new LowbitError('invalid-weights', `${source.name} has no ${what} in the precision ${name}.`);
    }
    this.slotBytes = pageAligned(Math.max(...[...this.records.values()].map(({ bytes }) => bytes)));
    const floor = (partial ? topK : layers * topK) * this.slotBytes;
    if (!(budgetBytes >= floor)) {
      throw new LowbitError(
        'invalid-argument',
        `A budget of ${budgetBytes} bytes does not hold the experts that one token uses${partial ? ' in a layer' : ''}: ` +
          `${floor / this.slotBytes} experts of ${this.slotBytes} bytes need ${floor}.`,
      );
    }
    this.slotCount = Math.min(Math.floor(budgetBytes / this.slotBytes), layers * experts);
    const memory = currentEngine().allocatePages(this.slotCount * this.slotBytes);
    this.free = Array.from(
      { length: this.slotCount },
      (_, i) => new Uint8Array(memory, i * this.slotBytes, this.slotBytes),
    );
    this.affinity = options.affinity ?? new ExpertAffinity(layers, experts);
    this.metrics = options.metrics ?? new CacheMetrics();
    this.set = new ResidentSet(this.slotCount, () => 1, makePolicy(policy, this.affinity, topK));
    this.resident = Array.from({ length: layers }, () => new Int32Array(experts));
    this.speculativeBytes = speculativeBytes ?? topK * this.slotBytes;
  }

  get index(): ExpertIndex {
    return this.source.index;
  }

  /** Bytes that are reserved for experts. */
  get reservedBytes(): number {
    return this.slotCount * this.slotBytes;
  }

  /**
   * Pins experts, and waits for those that have to be read.
   *
   * @param ids of the layer, each once, no more than there are slots
   * @throws LowbitError as the source does; then none is in use
   */
  async acquire(layer: number, ids: ArrayLike<number>): Promise<ExpertLease> {
    const keys = this.keysOf(layer, ids);
    checkArgument(keys.length <= this.slotCount, 'ids', `at most ${this.slotCount} experts`, keys.length);
    const pinned: Entry[] = [];
    const start = performance.now();
    // One call at a time collects its slots: two calls could deadlock waiting for each other's.
    const before = this.turn;
    let endTurn = () => {};
    this.turn = new Promise((end) => {
      endTurn = end;
    });
    try {
      await before;
      // All reads start before the first one is waited for.
      for (const key of keys) pinned.push(await this.pin(key));
      this.passed(layer);
      endTurn();
      const waiting = pinned.filter(({ present }) => !present);
      if (waiting.length > 0) {
        await Promise.all(waiting.map(({ reading }) => reading));
        this.metrics.stalled(performance.now() - start);
      }
    } catch (error) {
      this.unpin(pinned);
      throw error;
    } finally {
      endTurn();
    }
    return this.lease(pinned);
  }

  /**
   * The same at once; reading blocks.
   *
   * @throws LowbitError 'invalid-argument' if the source cannot be read so, or every slot is in use
   */
  acquireNow(layer: number, ids: ArrayLike<number>): ExpertLease {
    const { source, metrics } = this;
    if (!source.readNow) {
      throw new LowbitError(
        'invalid-argument',
        `Experts from ${source.name} cannot be read while TF.js waits; use the asynchronous call, or copy them to a file.`,
      );
    }
    const pinned: Entry[] = [];
    try {
      for (const key of this.keysOf(layer, ids)) {
        const entry = this.enter(key);
        if (!entry)
          throw new LowbitError('invalid-argument', `All ${this.slotCount} slots for experts are in use.`);
        entry.pins++;
        pinned.push(entry);
        if (entry.present) continue;
        const start = performance.now();
        try {
          // Where another thread is reading the expert already, both write the same bytes.
          source.readNow(entry.record, entry.memory);
        } catch (error) {
          // A slot that another thread still writes stays taken until its read ends.
          if (!entry.reading) this.failed(entry);
          throw error;
        }
        this.arrived(entry);
        metrics.stalled(performance.now() - start);
      }
      this.passed(layer);
    } catch (error) {
      this.unpin(pinned);
      throw error;
    }
    return this.lease(pinned);
  }

  /**
   * Reads experts ahead, as far as that evicts nothing in use and stays within the bytes allowed for it. Until their
   * layer is computed they are evicted last, then first.
   */
  prefetch(layer: number, ids: ArrayLike<number>): void {
    for (const key of this.keysOf(layer, ids)) {
      if (this.entries.has(key)) continue;
      if ((this.ahead.size + 1) * this.slotBytes > this.speculativeBytes) return;
      const entry = this.take(key);
      if (!entry) return;
      entry.speculative = true;
      this.ahead.add(entry);
      this.metrics.prefetched();
      // A failed prefetch is dropped: a later use reads the expert again and gets the error.
      this.read(entry).catch(() => {});
    }
  }

  /** Waits for what is being read; further calls throw. The source stays open. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.allSettled([...this.entries.values()].map(({ reading }) => reading));
  }

  private keysOf(layer: number, ids: ArrayLike<number>): number[] {
    if (this.closed)
      throw new LowbitError('invalid-argument', `The experts from ${this.source.name} were closed.`);
    const { layers, experts } = this.source.index;
    const isIndex = (value: number, count: number) => Number.isInteger(value) && value >= 0 && value < count;
    checkArgument(isIndex(layer, layers), 'layer', `an integer from 0 to ${layers - 1}`, layer);
    return Array.from(ids, (id) => {
      checkArgument(isIndex(id, experts), 'expert', `an integer from 0 to ${experts - 1}`, id);
      return layer * experts + id;
    });
  }

  private lease(pinned: readonly Entry[]): ExpertLease {
    let released = false;
    return {
      bytes: pinned.map(({ memory, record }) => memory.subarray(0, record.bytes)),
      release: () => {
        if (!released) this.unpin(pinned);
        released = true;
      },
    };
  }

  private async pin(key: number): Promise<Entry> {
    for (;;) {
      const entry = this.enter(key);
      if (entry) {
        entry.pins++;
        // Waited for by `acquire`, which sees the error.
        if (!entry.present && !entry.reading) this.read(entry).catch(() => {});
        return entry;
      }
      await new Promise<void>((wake) => this.wakeWaiting.push(wake));
    }
  }

  /** The entry of an expert that is used now, there or yet to be read; undefined if no slot can be had. */
  private enter(key: number): Entry | undefined {
    const there = this.entries.get(key);
    const entry = there ?? this.take(key);
    if (!entry) return undefined;
    this.set.touch(key);
    if (there) this.metrics.hit(entry.speculative);
    else this.metrics.miss();
    entry.speculative = false;
    this.ahead.delete(entry);
    return entry;
  }

  /** The layer has what it needs: what else was read ahead for it was not needed. */
  private passed(layer: number): void {
    for (const entry of this.ahead) if (entry.record.layer === layer) this.ahead.delete(entry);
  }

  /** A slot for an expert that has none; undefined if nothing may go for it. */
  private take(key: number): Entry | undefined {
    const isBusy = (other: number) => {
      const { pins, reading } = this.entries.get(other)!;
      return pins > 0 || reading !== undefined;
    };
    const isAhead = (other: number) => this.ahead.has(this.entries.get(other)!);
    const evicted =
      this.set.tryAdmit(key, (other) => isBusy(other) || isAhead(other)) ?? this.set.tryAdmit(key, isBusy);
    if (!evicted) return undefined;
    for (const other of evicted) {
      const entry = this.entries.get(other)!;
      this.metrics.evicted(entry.speculative);
      this.vacate(entry);
    }
    const entry: Entry = {
      key,
      record: this.records.get(key)!,
      memory: this.free.pop()!,
      pins: 0,
      present: false,
      speculative: false,
    };
    this.entries.set(key, entry);
    return entry;
  }

  private read(entry: Entry): Promise<void> {
    entry.reading = this.source.read(entry.record, entry.memory).then(
      () => {
        entry.reading = undefined;
        this.arrived(entry);
      },
      (error: unknown) => {
        if (entry.present) {
          entry.reading = undefined;
          return;
        }
        // The rejected promise stays: callers that have pinned the entry may await it later.
        this.failed(entry);
        throw error;
      },
    );
    return entry.reading;
  }

  private arrived(entry: Entry): void {
    if (!entry.present) {
      const { layer, expert, bytes } = entry.record;
      entry.present = true;
      this.resident[layer][expert] = 1;
      this.metrics.paged(bytes);
    }
    this.wake();
  }

  /** Removes the entry; callers that have pinned it get the error from its promise. */
  private failed(entry: Entry): void {
    if (this.entries.get(entry.key) !== entry) return;
    this.set.remove(entry.key);
    this.vacate(entry);
    this.wake();
  }

  private vacate(entry: Entry): void {
    const { layer, expert } = entry.record;
    this.resident[layer][expert] = 0;
    this.entries.delete(entry.key);
    this.ahead.delete(entry);
    this.free.push(entry.memory);
  }

  private unpin(entries: readonly Entry[]): void {
    for (const entry of entries) entry.pins--;
    this.wake();
  }

  private wake(): void {
    const waiting = this.wakeWaiting;
    this.wakeWaiting = [];
    for (const go of waiting) go();
  }
}
