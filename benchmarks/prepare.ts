/** One model in the form that each runtime takes, all with the same weights. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { calibrate } from '../src/calibration/runner';
import { convert } from '../src/conversion/convert';
import { readModel } from '../src/graph/read-model';
import type { InputSpec } from '../src/graph/samples';
import { optimize } from '../src/passes/pipeline';
import { observedTensors } from '../src/passes/quantize/plan/observed-tensors';
import { planQuantization } from '../src/passes/quantize/plan/plan';
import { exportOnnx } from './onnx/export';
import type { Subject } from './subjects';

export interface Prepared {
  /** model.json, float and converted. */
  readonly float: string;
  readonly int8: string;
  readonly onnxFloat: string;
  readonly onnxInt8: string;
  readonly inputs: readonly InputSpec[];
  /** Multiply-accumulates of one sample. */
  readonly macs: number;
}

/**
 * Converts a float model with `convert`, as a user would, and exports it to ONNX: what our own passes have folded, in
 * float32 and with the scales that calibration on the same samples gives.
 *
 * @param narrowWeights of the INT8 model in ONNX, see `QuantizedExport`
 */
export async function prepare(
  subject: Subject,
  folder: string,
  samples: number,
  narrowWeights: boolean,
): Promise<Prepared> {
  await mkdir(folder, { recursive: true });
  const float = await subject.float(join(folder, 'float'));
  const int8 = join(folder, 'int8');
  const { calibration } = subject;
  const { macs } = await convert({ input: float, output: int8, calibration, samples, recipe: 'fast' });
  const { graph } = optimize(await readModel(float));
  const plan = planQuantization(graph);
  const observations = await calibrate(graph, observedTensors(plan), subject.calibration, { samples });
  const onnxFloat = join(folder, 'float.onnx');
  const onnxInt8 = join(folder, 'int8.onnx');
  await writeFile(onnxFloat, exportOnnx(graph));
  await writeFile(onnxInt8, exportOnnx(graph, { plan, observations, narrowWeights }));
  const inputs = graph.inputs;
  return { float, int8: join(int8, 'model.json'), onnxFloat, onnxInt8, inputs, macs: macs.total };
}
