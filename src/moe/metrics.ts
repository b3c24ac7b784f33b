import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

/** What an expert cache and its routing did. Times in milliseconds, bytes of experts. */
export interface CacheSummary {
  readonly hits: number;
  readonly misses: number;
  readonly hitRate: number;
  readonly bytesPaged: number;
  readonly evictions: number;
  /** Times that computing waited for an expert, and for how long. */
  readonly stalls: Percentiles;
  /** Of the experts read ahead, and of those that were needed. */
  readonly prefetch: {
    readonly issued: number;
    readonly used: number;
    readonly wasted: number;
    /** Share of those read ahead, used or evicted since, that were used. */
    readonly precision: number;
    /** Share of the experts needed and not in memory that had been read ahead. */
    readonly recall: number;
  };
  readonly routing: Percentiles;
  /** Share of picks that plain routing would not have made. */
  readonly changed: number;
}

export interface Percentiles {
  readonly count: number;
  readonly total: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

const NANOSECONDS = 1e6;

function percentiles(histogram: RecordableHistogram, total: number): Percentiles {
  const at = (p: number) => histogram.percentile(p) / NANOSECONDS;
  const { count } = histogram;
  if (count === 0) return { count, total, p50: 0, p90: 0, p99: 0, max: 0 };
  return { count, total, p50: at(50), p90: at(90), p99: at(99), max: histogram.max / NANOSECONDS };
}

const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);

export class CacheMetrics {
  private hits = 0;
  private misses = 0;
  private bytes = 0;
  private evictions = 0;
  private prefetchesIssued = 0;
  private prefetchesUsed = 0;
  private prefetchesWasted = 0;
  private picks = 0;
  private changedPicks = 0;
  private stallTotal = 0;
  private routingTotal = 0;
  private readonly stallTimes = createHistogram();
  private readonly routingTimes = createHistogram();

  /** @param ahead it had been read ahead and is used for the first time */
  hit(ahead: boolean): void {
    this.hits++;
    if (ahead) this.prefetchesUsed++;
  }

  miss(): void {
    this.misses++;
  }

  paged(bytes: number): void {
    this.bytes += bytes;
  }

  /** @param unused it had been read ahead and was never used */
  evicted(unused: boolean): void {
    this.evictions++;
    if (unused) this.prefetchesWasted++;
  }

  prefetched(): void {
    this.prefetchesIssued++;
  }

  stalled(milliseconds: number): void {
    this.stallTotal += milliseconds;
    this.stallTimes.record(Math.max(1, Math.round(milliseconds * NANOSECONDS)));
  }

  /** @param changed picks that plain routing would not have made */
  routed(milliseconds: number, picks: number, changed: number): void {
    this.routingTotal += milliseconds;
    this.routingTimes.record(Math.max(1, Math.round(milliseconds * NANOSECONDS)));
    this.picks += picks;
    this.changedPicks += changed;
  }

  summary(): CacheSummary {
    const { hits, misses, prefetchesIssued: issued, prefetchesUsed: used, prefetchesWasted: wasted } = this;
    return {
      hits,
      misses,
      hitRate: share(hits, hits + misses),
      bytesPaged: this.bytes,
      evictions: this.evictions,
      stalls: percentiles(this.stallTimes, this.stallTotal),
      prefetch: {
        issued,
        used,
        wasted,
        precision: share(used, used + wasted),
        recall: share(used, used + misses),
      },
      routing: percentiles(this.routingTimes, this.routingTotal),
      changed: share(this.changedPicks, this.picks),
    };
  }
}
