/**
 * The entry `tfjs-lowbit/convert`, for Node.js: converts models, and shows what a conversion gains and costs. It contains
 * what importing `tfjs-lowbit` and `tfjs-lowbit/moe` does, so that it evaluates any converted model.
 */
import './moe';

export { imageFolder } from './calibration/data/image-folder';
export { type LabelledImageOptions, labelledImages } from './calibration/data/labelled';
export { namedSamples } from './calibration/data/named-samples';
export { npyFile } from './calibration/data/npy';
export { type NpzOptions, npzFile } from './calibration/data/npz';
export { openSamples } from './calibration/data/open-samples';
export { labelledRecords, type RecordDType, type RecordLayout, records } from './calibration/data/records';
export type { ModelInput, TensorData } from './calibration/data/tensors';
export type { CalibrationMethod } from './calibration/observers/methods';
export type { Config, LayerConfig } from './conversion/config/config';
export { readConfig } from './conversion/config/config-file';
export { convert } from './conversion/convert';
export { type DryRunReport, dryRun } from './conversion/dry-run';
export type {
  ConvertOptions,
  DryRunOptions,
  ExpertPackOptions,
  QuantizationOptions,
} from './conversion/options/options';
export { type FloatModel, type ModelTensor, QuantizedModel, quantizeModel } from './conversion/quantize';
export type { ConvertReport, ExpertReport, QuantizationReport } from './conversion/report-types';
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
export {
  inspectRegion,
  type RegionOp,
  type RegionReport,
  type RegionTensor,
} from './evaluation/inspect-region';
export { type RecordOptions, type RecordReport, recordTrace } from './evaluation/record-trace';
export type { DenseTensor, Sample } from './graph/ir';
export type {
  ImageOptions,
  InputSpec,
  LabelledSample,
  LabelledSource,
  SampleSource,
} from './graph/samples';
export type { Group, RotateOption, WeightsName } from './quantization/layer-weights';
export { writeNodeData } from './report/node-data';
export { makeReport, type Report, type ReportLayer, type ReportOptions } from './report/report';
export { writeReport } from './report/write-report';
