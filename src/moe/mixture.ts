/** Runs the mixture-of-experts layers of a model whose experts do not fit in memory. */
import { checkArgument } from '../base/errors';
import { currentEngine } from '../runtime/current-engine';
import type { Engine } from '../runtime/engine';
import { ExpertAffinity } from './affinity';
import { CacheMetrics } from './metrics';
import { Router, type RouterOptions } from './router';
import type { ExpertIndex } from './store/container';
import { EXPERT_ACTIVATIONS, type ExpertLayout } from './store/expert-bytes';
import { ExpertCache, type ExpertCacheOptions, type ExpertLease } from './store/expert-cache';
import { ExpertTiers } from './tiers';

/** The linear layer that makes logits of a token. */
export interface Gate {
  /** [width, experts], row-major. */
  readonly kernel: Float32Array;
  /** [experts]. */
  readonly bias?: Float32Array;
}

export interface Tier {
  /** Name of a precision of the container. */
  readonly precision: string;
  readonly budgetBytes: number;
}

type CacheOptions = Pick<ExpertCacheOptions, 'source' | 'precision' | 'policy' | 'speculativeBytes'>;

export interface MixtureOptions extends CacheOptions, Omit<RouterOptions, 'experts'> {
  /** Limit of the bytes of experts in memory. */
  readonly budgetBytes?: number;
  /** Precisions by how often experts are used, the best first; instead of `budgetBytes` and `precision`. */
  readonly tiers?: readonly Tier[];
  /**
   * Relative margin by which an expert must be used less than another to lose its place in a better tier. Default 0.25.
   */
  readonly hysteresis?: number;
  /**
   * An expert that is not in memory and has a gate weight below this for all its tokens is computed in a lower
   * precision that is. Results then depend on what is in memory. Default 0: never.
   */
  readonly lowPrecisionBelow?: number;
  /**
   * The gate of each layer. With gates, the experts that the next layer is likely to need are read while this one
   * computes: its gate is evaluated on the input of this layer.
   */
  readonly gates?: readonly Gate[];
  /** Experts read ahead for the next layer; 0 (default): none. */
  readonly prefetch?: number;
  /**
   * Missing experts of a layer up to this total of bytes are read on the calling thread, as passing them to another
   * thread takes about as long as reading. Default 65536; 0 for disks with latencies of milliseconds.
   */
  readonly inlineBytes?: number;
  /** Called with the logits of each call, [tokens, experts], before routing; they are valid during the call only. */
  onRouting?(layer: number, logits: Float32Array): void;
}

const INLINE_BYTES = 65536;

/** The tokens of one expert. */
interface Share {
  readonly expert: number;
  /** Its tokens. */
  readonly rows: number[];
  readonly weights: number[];
  /** token * topK + place among the token's experts. */
  readonly outRows: number[];
}

interface Part {
  readonly cache: ExpertCache;
  readonly shares: readonly Share[];
}

function tiersOf({ tiers, budgetBytes, precision, source }: MixtureOptions): readonly Tier[] {
  if (tiers) {
    checkArgument(tiers.length > 0, 'tiers', 'one or more', tiers.length);
    checkArgument(
      budgetBytes === undefined,
      'budgetBytes',
      'none beside tiers, which have their own',
      budgetBytes,
    );
    return tiers;
  }
  checkArgument(budgetBytes !== undefined, 'budgetBytes', 'a number of bytes', budgetBytes);
  return [{ precision: precision ?? source.index.precisions[0].name, budgetBytes }];
}

function isLayout(layout: unknown): layout is ExpertLayout {
  const { width, hidden } = (layout ?? {}) as Partial<ExpertLayout>;
  return Number.isInteger(width) && Number.isInteger(hidden);
}

export class MixtureOfExperts {
  readonly metrics = new CacheMetrics();
  readonly affinity: ExpertAffinity;
  readonly index: ExpertIndex;
  readonly width: number;
  private readonly tiers: ExpertTiers;
  private readonly engine: Engine = currentEngine();
  private readonly routers: readonly Router[];
  private readonly plain: Router;
  private readonly shape: ExpertLayout;
  /** Calls of `forward` that hold experts or wait for some. */
  private underWay = 0;

  /**
   * @throws LowbitError 'invalid-argument' for options out of range, or a budget that does not hold one token's experts
   *   (naming the bytes that do)
   */
  constructor(private readonly options: MixtureOptions) {
    const { source, gates } = options;
    this.index = source.index;
    const { layers, experts, precisions } = source.index;
    this.affinity = new ExpertAffinity(layers, experts);
    const caches = tiersOf(options).map(
      (tier, _, { length }) =>
        new ExpertCache({
          ...options,
          ...tier,
          affinity: this.affinity,
          metrics: this.metrics,
          partial: length > 1,
        }),
    );
    this.tiers = new ExpertTiers(caches, this.affinity, options.hysteresis);
    const [{ layout }] = precisions;
    checkArgument(isLayout(layout), 'source', 'experts that packExpert made', source.name);
    this.width = layout.width;
    const known = EXPERT_ACTIVATIONS.includes(layout.activation);
    checkArgument(known, 'activation', `one of ${EXPERT_ACTIVATIONS.join(', ')}`, layout.activation);
    this.shape = layout;
    const router = { ...options, experts };
    this.routers = Array.from({ length: layers }, () => new Router(router));
    this.plain = new Router({ ...router, bonus: 0 });
    if (!gates) return;
    checkArgument(gates.length === layers, 'gates', `one for each of ${layers} layers`, gates.length);
    gates.forEach(({ kernel, bias }, layer) => {
      checkArgument(
        kernel.length === this.width * experts,
        `the kernel of gate ${layer}`,
        `${this.width} x ${experts} numbers`,
        kernel.length,
      );
      checkArgument(
        bias === undefined || bias.length === experts,
        `the bias of gate ${layer}`,
        `${experts} numbers`,
        bias?.length,
      );
    });
  }

  /**
   * Computes a layer: the sum of each token's experts by gate weight. Missing experts are read while those in memory
   * compute.
   *
   * @param x [tokens, width]
   * @param logits [tokens, experts]; default: computed by the layer's gate
   * @returns [tokens, width]
   * @throws LowbitError 'invalid-argument' for sizes that do not fit; 'io' or 'invalid-weights' if an expert cannot be
   *   read
   */
  async forward(layer: number, x: Float32Array, logits = this.logits(layer, x)): Promise<Float32Array> {
    const shares = this.route(layer, x, logits);
    const absent: Share[] = [];
    const present: [ExpertCache, Share][] = [];
    for (const share of shares) {
      const cache = this.cacheInMemory(layer, share);
      if (cache) present.push([cache, share]);
      else absent.push(share);
    }
    if (this.readsInline(layer, absent)) return this.computeNow(layer, shares, x);
    this.underWay++;
    try {
      return await this.computeLater(layer, present, this.partsOf(layer, absent), x);
    } finally {
      this.underWay--;
    }
  }

  private async computeLater(
    layer: number,
    present: readonly [ExpertCache, Share][],
    parts: readonly Part[],
    x: Float32Array,
  ): Promise<Float32Array> {
    const out = new Float32Array(x.length * this.options.topK);
    const acquire = ({ cache, shares: of }: Part) =>
      cache.acquire(
        layer,
        of.map(({ expert }) => expert),
      );
    let next = parts.length > 0 ? acquire(parts[0]) : undefined;
    // Rejections are handled where it is awaited.
    next?.catch(() => {});
    try {
      this.prefetchNext(layer, x);
      for (const [cache, share] of present) {
        this.compute(await cache.acquire(layer, [share.expert]), [share], x, out);
      }
      for (let i = 0; i < parts.length; i++) {
        const lease = await next!;
        next = i + 1 < parts.length ? acquire(parts[i + 1]) : undefined;
        next?.catch(() => {});
        this.compute(lease, parts[i].shares, x, out);
      }
    } catch (error) {
      next?.then(
        (lease) => lease.release(),
        () => {},
      );
      throw error;
    }
    return this.sum(out);
  }

  /** The same, blocking, as TF.js kernels must; experts are read one after the other. */
  forwardNow(layer: number, x: Float32Array, logits = this.logits(layer, x)): Float32Array {
    return this.computeNow(layer, this.route(layer, x, logits), x);
  }

  private computeNow(layer: number, shares: readonly Share[], x: Float32Array): Float32Array {
    const out = new Float32Array(x.length * this.options.topK);
    for (const share of shares) {
      const cache = this.cacheInMemory(layer, share) ?? this.tiers.of(layer, share.expert);
      this.compute(cache.acquireNow(layer, [share.expert]), [share], x, out);
    }
    return this.sum(out);
  }

  /** The number of experts of a token. */
  get topK(): number {
    return this.options.topK;
  }

  /** Waits for what is being read, and closes the source. */
  async close(): Promise<void> {
    for (const cache of this.tiers.caches) await cache.close();
    await this.options.source.close();
  }

  /** Bytes that are reserved for experts. */
  get reservedBytes(): number {
    return this.tiers.caches.reduce((sum, cache) => sum + cache.reservedBytes, 0);
  }

  /** The cache that has an expert in memory; of a lower precision where that is good enough. */
  private cacheInMemory(layer: number, { expert, weights }: Share): ExpertCache | undefined {
    const own = this.tiers.of(layer, expert);
    if (own.resident[layer][expert] !== 0) return own;
    const { lowPrecisionBelow = 0 } = this.options;
    return weights.every((weight) => weight < lowPrecisionBelow)
      ? this.tiers.lower(layer, expert)
      : undefined;
  }

  /** Only while no other call runs: it could hold the slots that are needed, or be reading the same experts. */
  private readsInline(layer: number, absent: readonly Share[]): boolean {
    const { source, prefetch = 0, inlineBytes = INLINE_BYTES } = this.options;
    if (!source.readNow || prefetch > 0 || this.underWay > 0) return false;
    const bytes = absent.reduce((sum, { expert }) => sum + this.tiers.of(layer, expert).slotBytes, 0);
    return bytes <= inlineBytes;
  }

  /** Experts to be read, in parts of at most half of a cache's slots: one part is read while another computes. */
  private partsOf(layer: number, absent: readonly Share[]): Part[] {
    const parts: Part[] = [];
    for (const cache of this.tiers.caches) {
      const own = absent.filter(({ expert }) => this.tiers.of(layer, expert) === cache);
      const most = Math.max(1, Math.floor(cache.slotCount / 2));
      for (let i = 0; i < own.length; i += most) parts.push({ cache, shares: own.slice(i, i + most) });
    }
    return parts;
  }

  private logits(layer: number, x: Float32Array): Float32Array {
    const gate = this.options.gates?.[layer];
    checkArgument(gate !== undefined, 'logits', 'logits, as there are no gates', undefined);
    const { experts } = this.index;
    const tokens = x.length / this.width;
    const logits = new Float32Array(tokens * experts);
    for (let token = 0; token < tokens; token++) {
      const row = logits.subarray(token * experts, (token + 1) * experts);
      if (gate.bias) row.set(gate.bias);
      for (let i = 0; i < this.width; i++) {
        const value = x[token * this.width + i];
        for (let e = 0; e < experts; e++) row[e] += value * gate.kernel[i * experts + e];
      }
    }
    return logits;
  }

  /** Tokens by expert, experts by number. */
  private route(layer: number, x: Float32Array, logits: Float32Array): Share[] {
    const { metrics, affinity, options } = this;
    const { experts } = this.index;
    const tokens = x.length / this.width;
    checkArgument(Number.isInteger(tokens), 'x', `rows of ${this.width} numbers`, x.length);
    checkArgument(
      logits.length === tokens * experts,
      'logits',
      `${tokens} x ${experts} numbers`,
      logits.length,
    );
    options.onRouting?.(layer, logits);
    const start = performance.now();
    const { ids, weights } = this.routers[layer].route({ logits, resident: this.tiers.resident(layer) });
    const milliseconds = performance.now() - start;
    const changed = (options.bonus ?? 0) > 0 ? this.countChanged(ids, logits) : 0;
    metrics.routed(milliseconds, ids.length, changed);

    const shares = new Map<number, Share>();
    const { topK } = options;
    for (let token = 0; token < tokens; token++) {
      affinity.update(layer, ids.subarray(token * topK, (token + 1) * topK));
      for (let i = token * topK; i < (token + 1) * topK; i++) {
        const expert = ids[i];
        const share = shares.get(expert) ?? { expert, rows: [], weights: [], outRows: [] };
        share.rows.push(token);
        share.weights.push(weights[i]);
        share.outRows.push(i);
        shares.set(expert, share);
      }
    }
    if (layer === 0) this.tiers.tokensPassed(tokens);
    return [...shares.values()].sort((a, b) => a.expert - b.expert);
  }

  private countChanged(ids: Int32Array, logits: Float32Array): number {
    const usual = this.plain.route({ logits }).ids;
    const { topK } = this.options;
    let changed = 0;
    for (let i = 0; i < ids.length; i++) {
      const first = i - (i % topK);
      if (!usual.subarray(first, first + topK).includes(ids[i])) changed++;
    }
    return changed;
  }

  private prefetchNext(layer: number, x: Float32Array): void {
    const { gates, prefetch = 0 } = this.options;
    if (prefetch === 0 || layer + 1 >= this.routers.length) return;
    const next = layer + 1;
    for (const expert of (gates ? this.byGate(next, x) : this.affinity.ranked(next)).slice(0, prefetch)) {
      this.tiers.of(next, expert).prefetch(next, [expert]);
    }
  }

  /** The layer's experts by falling logit of the last token. */
  private byGate(layer: number, x: Float32Array): number[] {
    const logits = this.logits(layer, x.subarray(x.length - this.width));
    return Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  }

  /** Adds the results of each token's experts, in the order of their scores whatever order they came in. */
  private sum(results: Float32Array): Float32Array {
    const { width } = this;
    const { topK } = this.options;
    const sums = new Float32Array(results.length / topK);
    for (let token = 0; token * width < sums.length; token++) {
      for (let place = token * topK; place < (token + 1) * topK; place++) {
        for (let i = 0; i < width; i++) sums[token * width + i] += results[place * width + i];
      }
    }
    return sums;
  }

  private compute(lease: ExpertLease, shares: readonly Share[], x: Float32Array, out: Float32Array): void {
    try {
      shares.forEach(({ rows, weights, outRows }, i) => {
        const call = {
          x,
          rows: Int32Array.from(rows),
          weights: Float32Array.from(weights),
          outRows: Int32Array.from(outRows),
          out,
        };
        this.engine.runExpert(this.shape, lease.bytes[i], call);
      });
    } finally {
      lease.release();
    }
  }
}

/**
 * Opens the experts of a model within a budget of memory.
 *
 * ```ts
 * const mixture = moe({ source: await fileSource('experts.lbme'), budgetBytes: 8e6, topK: 2, bonus: 0.2 });
 * const out = await mixture.forward(0, x, logits);
 * ```
 */
export function moe(options: MixtureOptions): MixtureOfExperts {
  return new MixtureOfExperts(options);
}
