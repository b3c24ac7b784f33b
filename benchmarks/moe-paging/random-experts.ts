/** Experts with random weights, of a size: what they compute means nothing, what reading and computing them costs does. */
import { writeContainer } from '../../src/moe/store/container';
import { type ExpertLayout, packExpert } from '../../src/moe/store/expert-bytes';
import { Random } from '../networks/random';

const WIDTH = 1024;

/** Hidden units are a multiple of it. */
const STEP = 64;

/**
 * Writes a container of int8 experts, all with the same weights.
 *
 * @param bytes of an expert, about
 */
export async function writeRandomExperts(
  path: string,
  { layers, experts }: { layers: number; experts: number },
  bytes: number,
  width = WIDTH,
): Promise<ExpertLayout> {
  const hidden = Math.max(1, Math.round(bytes / (2 * width) / STEP)) * STEP;
  const layout: ExpertLayout = { width, hidden, activation: 'relu', gated: false };
  const random = new Random(1);
  const draw = () => Float32Array.from({ length: width * hidden }, () => random.between(-1, 1) / width);
  const packed = packExpert(layout, { up: { values: draw() }, down: { values: draw() } }, { format: 'int8' });
  function* each() {
    for (let key = 0; key < layers * experts; key++) {
      yield { layer: Math.floor(key / experts), expert: key % experts, precision: 0, bytes: packed };
    }
  }
  await writeContainer(path, { layers, experts, precisions: [{ name: 'int8', layout }] }, each());
  return layout;
}
