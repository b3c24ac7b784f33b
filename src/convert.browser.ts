/**
 * The entry `tfjs-lowbit/convert` in browsers: quantizes models that are in memory, such as one that the page has trained.
 * It contains what importing `tfjs-lowbit` does, and has the names of the entry for Node.js (convert.ts) that need no files.
 */
import './index';

export { namedSamples } from './calibration/data/named-samples';
export type { ModelInput, TensorData } from './calibration/data/tensors';
export type { CalibrationMethod } from './calibration/observers/methods';
export type { Config, LayerConfig } from './conversion/config/config';
export type { QuantizationOptions } from './conversion/options/options';
export { type FloatModel, type ModelTensor, QuantizedModel, quantizeModel } from './conversion/quantize';
export type { QuantizationReport } from './conversion/report-types';
export type { DenseTensor, Sample } from './graph/ir';
export type { InputSpec, LabelledSample, LabelledSource, SampleSource } from './graph/samples';
export type { Group, RotateOption, WeightsName } from './quantization/layer-weights';
