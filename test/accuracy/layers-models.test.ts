// @needs engine
import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import type { CompareReport, ConvertReport } from '../../src/convert';
import { describeWithShared, shared } from '../support/shared';
import { temporaryFolder } from '../support/tiny-model';

const MAIN = resolve(__dirname, '..', '..', 'dist', 'src', 'cli', 'main.js');

function cli<T>(...args: string[]): T {
  return JSON.parse(execFileSync(process.execPath, [MAIN, ...args, '--json'], { encoding: 'utf8' }));
}

/** Converts a layers model and compares it with the float one, which runs as the graph read from it. */
function judge(name: string, calibration: string[], evaluation: string[]) {
  const float = shared('models', name, 'model.json');
  const output = join(temporaryFolder(), 'int8');
  const converted = cli<ConvertReport>('convert', '--input', float, '--output', output, ...calibration);
  const lowbit = join(output, 'model.json');
  const report = cli<CompareReport>(
    'compare',
    '--float',
    float,
    '--lowbit',
    lowbit,
    ...evaluation,
    '--no-memory',
  );
  console.info(
    JSON.stringify({ name, top1: report.top1, agreement: report.agreement, outputs: report.outputs }),
  );
  expect(converted.macs.integerPercent).toBe(100);
  return report;
}

describeWithShared('layers models', () => {
  test('MobileNet 0.25 224, calibrated on 128 images, keeps its accuracy', () => {
    const size = ['--image-size', '224'];
    const labels = ['--labels', shared('images', 'labels.json')];
    const { top1 } = judge(
      'mobilenet_v1_0.25_224',
      ['--calibration', shared('images', 'calib'), ...size],
      ['--images', shared('images', 'eval'), ...labels, ...size],
    );
    expect(top1).toMatchObject({ labelled: 472, float: expect.closeTo(56.57, 2) });
    expect(top1!.float - top1!.lowbit).toBeLessThanOrEqual(1);
  }, 600_000);

  test('ResNet-8, calibrated on 256 pictures of CIFAR-10, keeps its accuracy', () => {
    const records = (file: string) => [
      '--records',
      shared('datasets', 'cifar10', file),
      '--record-layout',
      'label=1',
    ];
    const { top1 } = judge(
      'resnet8_cifar10',
      [...records('train_6000.bin'), '--samples', '256'],
      records('test_2000.bin'),
    );
    expect(top1).toMatchObject({ labelled: 2000, float: expect.closeTo(76.4, 2) });
    expect(top1!.float - top1!.lowbit).toBeLessThanOrEqual(0.5);
  }, 600_000);
});
