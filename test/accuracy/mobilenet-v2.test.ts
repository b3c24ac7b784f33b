// @needs engine
import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import type { CompareReport, ConvertReport } from '../../src/convert';
import { describeWithShared, shared } from '../support/shared';
import { temporaryFolder } from '../support/tiny-model';

const MAIN = resolve(__dirname, '..', '..', 'dist', 'src', 'cli', 'main.js');
const IMAGE = ['--image-size', '224', '--crop', 'center', '--mean', '127.5', '--std', '127.5'];

function cli<T>(...args: string[]): T {
  return JSON.parse(
    execFileSync(process.execPath, [MAIN, ...args, ...IMAGE, '--json'], { encoding: 'utf8' }),
  );
}

describeWithShared('MobileNetV2 1.0 224, calibrated on 128 images', () => {
  test('keeps its accuracy, at a quarter of its size, with nothing left in float', () => {
    const float = shared('models', 'mobilenet_v2_1.0_224_float', 'model.json');
    const output = join(temporaryFolder(), 'int8');
    const calibration = shared('images', 'calib');
    const converted = cli<ConvertReport>(
      ...['convert', '--input', float, '--output', output, '--calibration', calibration],
    );
    expect(converted.float).toEqual([]);
    expect(converted.bytes.after).toBeLessThan(3.9e6);

    const lowbit = join(output, 'model.json');
    const labels = ['--labels', shared('images', 'labels.json'), '--label-offset', '1'];
    const report = cli<CompareReport>(
      ...['compare', '--float', float, '--lowbit', lowbit, '--images', shared('images', 'eval'), ...labels],
    );
    const { top1, agreement, memory } = report;
    console.info(JSON.stringify({ top1, agreement, outputs: report.outputs, memory }));
    expect(top1?.labelled).toBe(472);
    expect(top1?.float).toBeCloseTo(85.59, 2);
    expect(top1!.float - top1!.lowbit).toBeLessThanOrEqual(0.5);
    expect(agreement).toBeGreaterThanOrEqual(97);
    expect(memory!.lowbit.resident).toBeLessThan(0.4 * memory!.float.resident);
  }, 600_000);
});
