/** Runs the mixture-of-experts layers of a model whose experts do not fit in memory. */
import { checkArgument } from '../errors';
import { currentEngine } from '../runtime/current-engine';
import type { Engine } from '../runtime/engine';
import { Router, type RouterOptions } from './router';
import { activationNumber, type ExpertLayout } from './store/expert-bytes';
import { ExpertCache, type ExpertCacheOptions, type ExpertLease } from './store/expert-cache';

/** The linear layer that makes logits of a token. */
export interface Gate {
  /** [width, experts], row-major. */
  readonly kernel: Float32Array;
  /** [experts]. */
  readonly bias?: Float32Array;
}

export interface MixtureOptions extends Omit<ExpertCacheOptions, 'topK'>, Omit<RouterOptions, 'experts'> {
  /**
   * The gate of each layer. With them, what the next layer is likely to need is read while this one computes: its gate is
   * asked with the input of this one.
   */
  readonly gates?: readonly Gate[];
  /** Experts read ahead for the next layer; 0 (default): none. */
  readonly prefetch?: number;
}

/** What one expert has to do. */
interface Share {
  readonly expert: number;
  /** Its tokens. */
  readonly rows: number[];
  readonly weights: number[];
  /** token * topK + place among the token's experts. */
  readonly outRows: number[];
}

function isLayout(layout: unknown): layout is ExpertLayout {
  const { width, hidden } = (layout ?? {}) as Partial<ExpertLayout>;
  return Number.isInteger(width) && Number.isInteger(hidden);
}

export class MixtureOfExperts {
  readonly cache: ExpertCache;
  readonly width: number;
  private readonly engine: Engine = currentEngine();
  private readonly routers: readonly Router[];
  private readonly plain: Router;
  private readonly shape: Int32Array;

  /**
   * @throws LowbitError 'invalid-argument' for options out of range, or a budget that does not hold one token's experts
   *   (telling the bytes that do)
   */
  constructor(private readonly options: MixtureOptions) {
    const { source, gates, topK, precision } = options;
    const { layers, experts, precisions } = source.index;
    this.cache = new ExpertCache({ ...options, topK });
    const layout = precisions.find(({ name }) => name === (precision ?? precisions[0].name))!.layout;
    checkArgument(isLayout(layout), 'source', 'experts that packExpert made', source.name);
    this.width = layout.width;
    this.shape = Int32Array.of(
      layout.width,
      layout.hidden,
      activationNumber(layout.activation),
      Number(layout.gated),
    );
    const router = { ...options, experts };
    this.routers = Array.from({ length: layers }, () => new Router(this.engine, router));
    this.plain = new Router(this.engine, { ...router, bonus: 0 });
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
   * What a layer makes of tokens: the sum of their experts' results by gate weight. Experts that have to be read are read
   * while those in memory compute.
   *
   * @param x [tokens, width]
   * @param logits [tokens, experts]; default: what the layer's gate makes of x
   * @returns [tokens, width]
   * @throws LowbitError 'invalid-argument' for sizes that do not fit; 'io' or 'invalid-weights' if an expert cannot be read
   */
  async forward(layer: number, x: Float32Array, logits = this.logits(layer, x)): Promise<Float32Array> {
    const { cache } = this;
    const shares = this.route(layer, x, logits);
    const out = new Float32Array(x.length * this.options.topK);
    this.prefetchNext(layer, x);
    const absent = shares.filter(({ expert }) => cache.resident[layer][expert] === 0);
    // Half of the slots, so that one part is read while the other computes.
    const most = Math.max(1, Math.floor(cache.slotCount / 2));
    const parts: Share[][] = [];
    for (let i = 0; i < absent.length; i += most) parts.push(absent.slice(i, i + most));
    const acquire = (part: readonly Share[]) =>
      cache.acquire(
        layer,
        part.map(({ expert }) => expert),
      );

    let next = parts.length > 0 ? acquire(parts[0]) : undefined;
    // Handled where it is awaited.
    next?.catch(() => {});
    for (const share of shares) {
      if (absent.includes(share)) continue;
      this.compute(await cache.acquire(layer, [share.expert]), [share], x, out);
    }
    for (let i = 0; i < parts.length; i++) {
      const lease = await next!;
      next = i + 1 < parts.length ? acquire(parts[i + 1]) : undefined;
      next?.catch(() => {});
      this.compute(lease, parts[i], x, out);
    }
    return this.sum(out);
  }

  /** The same at once, as TF.js kernels have to; experts are read one after the other. */
  forwardNow(layer: number, x: Float32Array, logits = this.logits(layer, x)): Float32Array {
    const out = new Float32Array(x.length * this.options.topK);
    for (const share of this.route(layer, x, logits)) {
      this.compute(this.cache.acquireNow(layer, [share.expert]), [share], x, out);
    }
    return this.sum(out);
  }

  /** Waits for what is being read, and closes the source. */
  close(): Promise<void> {
    return this.cache.close();
  }

  private logits(layer: number, x: Float32Array): Float32Array {
    const gate = this.options.gates?.[layer];
    checkArgument(gate !== undefined, 'logits', 'logits, as there are no gates', undefined);
    const { experts } = this.cache.index;
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
    const { cache, options } = this;
    const { experts } = cache.index;
    const tokens = x.length / this.width;
    checkArgument(Number.isInteger(tokens), 'x', `rows of ${this.width} numbers`, x.length);
    checkArgument(
      logits.length === tokens * experts,
      'logits',
      `${tokens} x ${experts} numbers`,
      logits.length,
    );
    const start = performance.now();
    const { ids, weights } = this.routers[layer].route({ logits, resident: cache.resident[layer] });
    const milliseconds = performance.now() - start;
    const changed = (options.bonus ?? 0) > 0 ? this.countChanged(ids, logits) : 0;
    cache.metrics.routed(milliseconds, ids.length, changed);

    const shares = new Map<number, Share>();
    const { topK } = options;
    for (let token = 0; token < tokens; token++) {
      cache.affinity.update(layer, ids.subarray(token * topK, (token + 1) * topK));
      for (let i = token * topK; i < (token + 1) * topK; i++) {
        const expert = ids[i];
        const share = shares.get(expert) ?? { expert, rows: [], weights: [], outRows: [] };
        share.rows.push(token);
        share.weights.push(weights[i]);
        share.outRows.push(i);
        shares.set(expert, share);
      }
    }
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
    if (!gates) {
      this.cache.prefetch(layer + 1, this.cache.affinity.ranked(layer + 1).slice(0, prefetch));
      return;
    }
    const last = x.subarray(x.length - this.width);
    const logits = this.logits(layer + 1, last);
    const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
    this.cache.prefetch(layer + 1, order.slice(0, prefetch));
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
