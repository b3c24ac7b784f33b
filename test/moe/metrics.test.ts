import { CacheMetrics } from '../../src/moe/metrics';
import { prometheusText } from '../../src/moe/prometheus';

function drawn(): CacheMetrics {
  const metrics = new CacheMetrics();
  for (let i = 0; i < 6; i++) metrics.hit(i < 2);
  for (let i = 0; i < 2; i++) metrics.miss();
  metrics.paged(1000);
  metrics.evicted(true);
  metrics.evicted(false);
  for (let i = 0; i < 3; i++) metrics.prefetched();
  for (let i = 1; i <= 100; i++) metrics.stalled(i / 10);
  metrics.routed(0.002, 4, 1);
  return metrics;
}

test('counts and shares', () => {
  const summary = drawn().summary();
  expect(summary).toMatchObject({
    hits: 6,
    misses: 2,
    hitRate: 0.75,
    bytesPaged: 1000,
    evictions: 2,
    changed: 0.25,
  });
  expect(summary.prefetch).toEqual({ issued: 3, used: 2, wasted: 1, precision: 2 / 3, recall: 0.5 });
});

test('times in milliseconds, by percentiles', () => {
  const { stalls, routing } = drawn().summary();
  expect(stalls.count).toBe(100);
  expect(stalls.total).toBeCloseTo(505, 6);
  expect(stalls.p50).toBeCloseTo(5, 1);
  expect(stalls.p99).toBeCloseTo(9.9, 1);
  expect(stalls.max).toBeCloseTo(10, 1);
  expect(routing.p50).toBeCloseTo(0.002, 5);
});

test('nothing counted is all zeros, never NaN', () => {
  expect(JSON.stringify(new CacheMetrics().summary())).not.toMatch(/null|NaN/);
});

test('the text of Prometheus has every number with its unit and labels', async () => {
  const text = await prometheusText(drawn().summary(), { model: 'shakespeare' });
  expect(text).toContain('lowbit_moe_expert_hits_total{model="shakespeare"} 6');
  expect(text).toContain('lowbit_moe_stall_seconds_total{model="shakespeare"} 0.505');
  expect(text).toMatch(/lowbit_moe_stall_seconds{quantile="0\.5",model="shakespeare"} 0\.00[45]/);
  expect(text).toContain('# HELP lowbit_moe_expert_misses_total Uses of experts that had to be read');
});
