/**
 * The entry `tfjs-lowbit/moe`, for Node.js: models whose experts do not fit in memory. Importing it lets
 * `tf.loadGraphModel('file://...')` open the experts of a converted model; it contains what importing `tfjs-lowbit` does.
 */
import './index.node';

export { ExpertAffinity } from './moe/affinity';
export { MEMORY_PRESETS, type MemoryPreset, memoryBudget } from './moe/memory-budget';
export type { CacheSummary, Percentiles } from './moe/metrics';
export { type Gate, MixtureOfExperts, type MixtureOptions, moe, type Tier } from './moe/mixture';
export { expertsOf } from './moe/model-experts';
export type { ExpertSettings } from './moe/open-experts';
export { prometheusText } from './moe/prometheus';
export { type RouteInputs, Router, type RouterOptions, type Routing } from './moe/router';
export { POLICIES, type PolicyName, type Simulation, type SimulationOptions, simulate } from './moe/simulate';
export { type ExpertBytes, type ExpertIndex, type ExpertRecord, writeContainer } from './moe/store/container';
export {
  type ExpertActivation,
  type ExpertFormat,
  type ExpertLayout,
  type ExpertMatrix,
  type ExpertWeights,
  packExpert,
} from './moe/store/expert-bytes';
export { ExpertCache, type ExpertCacheOptions, type ExpertLease } from './moe/store/expert-cache';
export { type FileSourceOptions, fileSource } from './moe/store/file-source';
export { type HttpSourceOptions, httpSource } from './moe/store/http-source';
export { copyToRedis, type RedisSourceOptions, redisSource } from './moe/store/redis-source';
export type { ExpertSource } from './moe/store/source';
export { type RoutingTrace, readTrace, writeTrace } from './moe/trace';
