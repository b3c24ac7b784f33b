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
  /** Slots that `acquire` and `prefetch` leave to `acquireNow`, if there are more than these. Default 0. */
  readonly reserve?: number;
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
  /** A read of it failed after another one was right: its bytes may be wrong once nobody uses them any more. */
  doubtful: boolean;
}

/** A call that waits for its slots. */
interface Waiting {
  readonly layer: number;
  readonly keys: readonly number[];
  grant(pinned: readonly Entry[]): void;
  refuse(error: LowbitError): void;
}

const isBusy = ({ pins, reading }: Entry) => pins > 0 || reading !== undefined;

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
  /** The first call waits for slots, the others for the first. */
  private queue: Waiting[] = [];
  private readonly reserve: number;
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
      reserve = 0,
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
    this.slotBytes = pageAligned(
      [...this.records.values()].reduce((most, { bytes }) => Math.max(most, bytes), 0),
    );
    const floor = (partial ? topK : layers * topK) * this.slotBytes;
    if (!(budgetBytes >= floor)) {
      throw new LowbitError(
        'invalid-argument',
        `A budget of ${budgetBytes} bytes does not hold the experts that one token uses${partial ? ' in a layer' : ''}: ` +
          `${floor / this.slotBytes} experts of ${this.slotBytes} bytes need ${floor}.`,
      );
    }
    this.slotCount = Math.min(Math.floor(budgetBytes / this.slotBytes), layers * experts);
    this.reserve = reserve < this.slotCount ? reserve : 0;
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
   * Pins experts, and waits for those that have to be read. Gets all its slots in one step, in the order of the calls,
   * and waits for them without holding any, so calls cannot wait for each other in a circle.
   *
   * @param ids of the layer, each once, no more than there are slots beside the reserve
   * @throws LowbitError as the source does; then none is in use
   */
  async acquire(layer: number, ids: ArrayLike<number>): Promise<ExpertLease> {
    const keys = this.keysOf(layer, ids);
    const most = this.slotCount - this.reserve;
    checkArgument(keys.length <= most, 'ids', `at most ${most} experts`, keys.length);
    const start = performance.now();
    const pinned =
      this.tryPin(layer, keys) ??
      (await new Promise<readonly Entry[]>((grant, refuse) => {
        this.queue.push({ layer, keys, grant, refuse });
      }));
    return this.arrival(pinned, start);
  }

  /**
   * The same without waiting for slots: undefined if they cannot be had now.
   *
   * @returns settles once the experts were read
   */
  tryAcquire(layer: number, ids: ArrayLike<number>): Promise<ExpertLease> | undefined {
    const pinned = this.tryPin(layer, this.keysOf(layer, ids));
    return pinned && this.arrival(pinned, performance.now());
  }

  /** Pins an expert that is in memory. */
  acquireResident(layer: number, expert: number): ExpertLease {
    const [key] = this.keysOf(layer, [expert]);
    const entry = this.entries.get(key)!;
    checkArgument(entry?.present, 'expert', 'one that is in memory', expert);
    this.used(entry, true);
    this.passed(layer);
    return this.lease([entry]);
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
    const keys = this.keysOf(layer, ids);
    try {
      for (const key of keys) {
        const there = this.entries.get(key);
        const entry = there ?? this.take(key);
        if (!entry) throw this.noSlot(keys.length);
        this.used(entry, there !== undefined);
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
      if (this.queue.length > 0 || this.availableSlots() <= this.reserve) return;
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

  /** Waits for what is being read; further calls, and those that wait for slots, throw. The source stays open. */
  async close(): Promise<void> {
    this.closed = true;
    for (const { refuse } of this.queue.splice(0)) refuse(this.closedError());
    await Promise.allSettled([...this.entries.values()].map(({ reading }) => reading));
  }

  private keysOf(layer: number, ids: ArrayLike<number>): number[] {
    if (this.closed) throw this.closedError();
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

  /** The lease of pinned experts once all of them were read. */
  private async arrival(pinned: readonly Entry[], start: number): Promise<ExpertLease> {
    const waiting = pinned.filter(({ present }) => !present);
    try {
      if (waiting.length > 0) {
        await Promise.all(waiting.map(({ reading }) => reading));
        this.metrics.stalled(performance.now() - start);
      }
    } catch (error) {
      this.unpin(pinned);
      throw error;
    }
    return this.lease(pinned);
  }

  /** Pins all experts and starts the reads of those that are missing; undefined if that takes too many slots, or a turn. */
  private tryPin(layer: number, keys: readonly number[], isFirst = false): Entry[] | undefined {
    if (this.queue.length > 0 && !isFirst) return undefined;
    const there = keys.map((key) => this.entries.get(key));
    for (const entry of there) if (entry) entry.pins++;
    const missing = there.filter((entry) => entry === undefined).length;
    const fits = this.availableSlots() - missing >= this.reserve;
    for (const entry of there) if (entry && !fits) entry.pins--;
    if (!fits) return undefined;
    const pinned = keys.map((key, i) => {
      const known = there[i];
      const entry = known ?? this.take(key)!;
      this.used(entry, known !== undefined);
      if (known) entry.pins--;
      // Waited for by `arrival`, which sees the error.
      if (!entry.present && !entry.reading) this.read(entry).catch(() => {});
      return entry;
    });
    this.passed(layer);
    return pinned;
  }

  /** Slots that are free or can be. */
  private availableSlots(): number {
    let busy = 0;
    for (const entry of this.entries.values()) if (isBusy(entry)) busy++;
    return this.slotCount - busy;
  }

  /** An expert that had its slot, or has got one, is used: pins it. */
  private used(entry: Entry, there: boolean): void {
    entry.pins++;
    this.set.touch(entry.key);
    if (there) this.metrics.hit(entry.speculative);
    else this.metrics.miss();
    entry.speculative = false;
    this.ahead.delete(entry);
  }

  private noSlot(needed: number): LowbitError {
    const slots = this.slotCount + needed;
    return new LowbitError(
      'invalid-argument',
      `All ${this.slotCount} slots for experts are in use by calls under way. This call needs ${needed} more: await the ` +
        `others, or allow a budget of ${slots * this.slotBytes} bytes (${slots} slots).`,
    );
  }

  private closedError(): LowbitError {
    return new LowbitError('invalid-argument', `The experts from ${this.source.name} were closed.`);
  }

  /** The layer has what it needs: what else was read ahead for it was not needed. */
  private passed(layer: number): void {
    for (const entry of this.ahead) if (entry.record.layer === layer) this.ahead.delete(entry);
  }

  /** A slot for an expert that has none; undefined if nothing may go for it. */
  private take(key: number): Entry | undefined {
    const isUsed = (other: number) => isBusy(this.entries.get(other)!);
    const isAhead = (other: number) => this.ahead.has(this.entries.get(other)!);
    const evicted =
      this.set.tryAdmit(key, (other) => isUsed(other) || isAhead(other)) ?? this.set.tryAdmit(key, isUsed);
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
      doubtful: false,
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
          // It may have written over what a blocking read had checked.
          entry.reading = undefined;
          entry.doubtful = true;
          this.dropDoubtful(entry);
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
    for (const entry of entries) {
      entry.pins--;
      this.dropDoubtful(entry);
    }
    this.wake();
  }

  private dropDoubtful(entry: Entry): void {
    if (entry.doubtful && entry.pins === 0) this.failed(entry);
  }

  /** Slots may have become free: serves the calls that wait for some. */
  private wake(): void {
    while (this.queue.length > 0) {
      const { layer, keys, grant } = this.queue[0];
      const pinned = this.tryPin(layer, keys, true);
      if (!pinned) return;
      this.queue.shift();
      grant(pinned);
    }
  }
}
