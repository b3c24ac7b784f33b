import { join } from 'node:path';
import { compare, convert, imageFolder } from '../../src/index';
import { describeWithShared, shared } from '../support/shared';
import { temporaryFolder } from '../support/tiny-model';

describeWithShared('MobileNetV2 1.0 224, calibrated on 128 images', () => {
  const float = shared('models', 'mobilenet_v2_1.0_224_float', 'model.json');
  const imageOptions = { imageSize: 224, crop: 'center', mean: 127.5, std: 127.5 } as const;

  test('keeps its accuracy, at a quarter of its size, with nothing but the softmax left in float', async () => {
    const output = join(temporaryFolder(), 'int8');
    const converted = await convert({
      input: float,
      output,
      calibration: imageFolder(shared('images', 'calib'), imageOptions),
    });
    expect(converted.float.map(({ op }) => op)).toEqual(['Softmax']);
    expect(converted.bytes.after).toBeLessThan(3.9e6);

    const report = await compare({
      float,
      lowbit: join(output, 'model.json'),
      images: shared('images', 'eval'),
      labels: shared('images', 'labels.json'),
      labelOffset: 1,
      imageOptions,
      latencyRuns: 1,
      memory: false,
    });
    console.info(JSON.stringify({ top1: report.top1, agreement: report.agreement, outputs: report.outputs }));
    const { float: floatTop1, lowbit, labelled } = report.top1!;
    expect(labelled).toBe(472);
    expect(floatTop1).toBeCloseTo(85.59, 2);
    expect(floatTop1 - lowbit).toBeLessThanOrEqual(0.5);
    expect(report.agreement).toBeGreaterThanOrEqual(97);
  }, 600_000);
});
