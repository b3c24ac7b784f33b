/**
 * Importing this package registers the quantized kernels with TF.js, so that `tf.loadGraphModel` and `model.predict`
 * run a converted model; its exports convert, inspect and compare models.
 */
import { install } from '../kernels/register';
import './runtime/provide-node-engine';
import { registerFileSystemRouter } from './loading/file-system';

install();
registerFileSystemRouter();

export {
  dequantize,
  hadamard,
  linearFloat,
  moeRoute,
  packBytes,
  packInt8,
  piDequant,
  type QuantizedFilter,
  quantizedAdd,
  quantizedAvgPool,
  quantizedConcat,
  quantizedConv2d,
  quantizedDepthwise,
  quantizedGather,
  quantizedLinear,
  quantizedLookup,
  quantizedMaxPool,
  quantizedMul,
  quantizedRegion,
} from '../kernels/functional';
export type { HadamardAttrs } from '../kernels/Hadamard';
export type { LinearFloatAttrs } from '../kernels/LinearFloat';
export type { MoERouteAttrs } from '../kernels/MoERoute';
export type { PiDequantAttrs } from '../kernels/PiDequant';
export type { QuantizeAttrs } from '../kernels/Quantize';
export type { QuantizedArithmeticAttrs } from '../kernels/QuantizedArithmetic';
export type { QuantizedConcatAttrs } from '../kernels/QuantizedConcat';
export type { QuantizedConv2DAttrs } from '../kernels/QuantizedConv2D';
export type { QuantizedDepthwiseAttrs } from '../kernels/QuantizedDepthwise';
export type { QuantizedGatherAttrs } from '../kernels/QuantizedGather';
export type { QuantizedLinearAttrs } from '../kernels/QuantizedLinear';
export type { QuantizedLookupAttrs } from '../kernels/QuantizedLookup';
export type { QuantizedPoolAttrs } from '../kernels/QuantizedPool';
export { install, type TfInstance } from '../kernels/register';
export { LowbitError, type LowbitErrorCode } from './base/errors';
export { imageFolder } from './calibration/data/image-folder';
export { type LabelledImageOptions, labelledImages } from './calibration/data/labelled';
export { namedSamples } from './calibration/data/named-samples';
export { npyFile } from './calibration/data/npy';
export { npzFile } from './calibration/data/npz';
export { openSamples } from './calibration/data/open-samples';
export { labelledRecords, type RecordDType, type RecordLayout, records } from './calibration/data/records';
export type { ModelInput, TensorData } from './calibration/data/tensors';
export type { CalibrationMethod } from './calibration/observers/methods';
export { type Config, type LayerConfig, readConfig } from './conversion/config/config';
export {
  type ConvertOptions,
  type ConvertReport,
  convert,
  type QuantizationOptions,
  type QuantizationReport,
} from './conversion/convert';
export { type DryRunOptions, type DryRunReport, dryRun } from './conversion/dry-run';
export type { ExpertPackOptions, ExpertReport } from './conversion/experts';
export { type FloatModel, type ModelTensor, QuantizedModel, quantize } from './conversion/quantize';
export { type BenchOptions, type BenchReport, bench } from './evaluation/bench';
export { type CompareOptions, type CompareReport, compare } from './evaluation/compare';
export {
  type FormatErrors,
  type FormatsLayer,
  type FormatsOptions,
  type FormatsReport,
  type FormatsTotal,
  formats,
  type RotationErrors,
} from './evaluation/formats';
export { type InspectReport, inspect } from './evaluation/inspect';
export { type ConvertedLayer, type ConvertedReport, inspectConverted } from './evaluation/inspect-converted';
export { type RecordOptions, type RecordReport, recordTrace } from './evaluation/record-trace';
export type { DenseTensor, Sample } from './graph/ir';
export type {
  ImageOptions,
  InputSpec,
  LabelledSample,
  LabelledSource,
  SampleSource,
} from './graph/samples';
export { type FileSystemOptions, fileSystem, releaseArtifacts } from './loading/file-system';
export { ExpertAffinity } from './moe/affinity';
export { MEMORY_PRESETS, type MemoryPreset, memoryBudget } from './moe/memory-budget';
export type { CacheSummary, Percentiles } from './moe/metrics';
export { type Gate, MixtureOfExperts, type MixtureOptions, moe, type Tier } from './moe/mixture';
export { type ExpertSettings, expertsOf } from './moe/model-experts';
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
export type { Activation, FilterRef, Op, Padding, Program, TensorSpec, Window } from './program/program';
export {
  encodeProgram,
  OpKind,
  PaddingMode,
  TensorType,
  WeightFormat,
  WeightsBuilder,
} from './program/program';
export { bitsPerWeight } from './quantization/formats/bits-per-weight';
export { decodeMatrix, decodeValue } from './quantization/formats/decode';
export { type EncodeOptions, encodeMatrix } from './quantization/formats/encode';
export type { FormatName, LowBitMatrix } from './quantization/formats/format';
export { FORMATS } from './quantization/formats/registry';
export { type Rotation, rotateRows, rotateRowsBack, rotationBlocks } from './quantization/hadamard';
export type { Group, RotateOption, WeightsName } from './quantization/layer-weights';
export { makeReport, type Report, type ReportLayer, type ReportOptions } from './report/report';
export { writeReport } from './report/write-report';
export { engineInfo, getThreads, setThreads } from './runtime/current-engine';
