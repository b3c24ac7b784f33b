import type * as promClient from 'prom-client';
import { missingPackage } from '../base/missing-package';
import type { CacheSummary, Percentiles } from './metrics';

function loadClient(): typeof promClient {
  try {
    return require('prom-client');
  } catch (cause) {
    throw missingPackage('prom-client', 'Metrics for Prometheus', cause);
  }
}

/**
 * A summary in the text format of Prometheus.
 *
 * @param labels put on every series, `{ model: 'shakespeare' }` for example
 * @throws LowbitError 'missing-package' where prom-client is not installed
 */
export async function prometheusText(
  summary: CacheSummary,
  labels: Record<string, string> = {},
): Promise<string> {
  const { Counter, Gauge, Registry } = loadClient();
  const registry = new Registry();
  registry.setDefaultLabels(labels);
  const registers = [registry];
  const counter = (name: string, help: string, value: number) => {
    new Counter({ name: `lowbit_moe_${name}`, help, registers }).inc(value);
  };
  const times = (name: string, help: string, { p50, p90, p99, max }: Percentiles) => {
    const gauge = new Gauge({ name: `lowbit_moe_${name}`, help, labelNames: ['quantile'], registers });
    for (const [quantile, value] of Object.entries({ 0.5: p50, 0.9: p90, 0.99: p99, 1: max })) {
      gauge.set({ quantile }, value / 1000);
    }
  };
  const { prefetch } = summary;
  counter('expert_hits_total', 'Uses of experts that were in memory', summary.hits);
  counter('expert_misses_total', 'Uses of experts that had to be read', summary.misses);
  counter('expert_bytes_total', 'Bytes of experts read', summary.bytesPaged);
  counter('expert_evictions_total', 'Experts evicted', summary.evictions);
  counter('prefetches_total', 'Experts read ahead', prefetch.issued);
  counter('prefetches_used_total', 'Experts read ahead and used', prefetch.used);
  counter('prefetches_wasted_total', 'Experts read ahead and evicted unused', prefetch.wasted);
  counter('stall_seconds_total', 'Time that computing waited for experts', summary.stalls.total / 1000);
  times('stall_seconds', 'Time that computing waited for experts, quantiles', summary.stalls);
  times('routing_seconds', 'Time of routing calls, quantiles', summary.routing);
  new Gauge({
    name: 'lowbit_moe_changed_ratio',
    help: 'Share of picks that plain routing would not have made',
    registers,
  }).set(summary.changed);
  return registry.metrics();
}
