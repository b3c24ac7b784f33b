/** Resizing of images, to a size that is known. */
import { boolAttr } from '../../../graph/attrs';
import { output, refKey } from '../../../graph/edit';
import { OpKind, type ResizeSize } from '../../../program/program';
import type { Matcher } from './quantizable';

export const matchResize: Matcher = (node, { shapes }) => {
  if (node.op !== 'ResizeBilinear' && node.op !== 'ResizeNearestNeighbor') return undefined;
  const from = node.inputs[0];
  const shape = shapes.get(refKey(output(node.name)));
  if (shape?.length !== 4 || shape[1] < 1 || shape[2] < 1) return 'its size is not known';
  const size: ResizeSize = {
    height: shape[1],
    width: shape[2],
    alignCorners: boolAttr(node, 'align_corners'),
    halfPixelCenters: boolAttr(node, 'half_pixel_centers'),
  };
  if (size.alignCorners && size.halfPixelCenters) return 'it aligns both corners and centers';
  const bilinear = node.op === 'ResizeBilinear';
  return {
    kind: bilinear ? 'averaging' : 'selecting',
    activations: [from],
    lowerFloat(builder, result) {
      builder.op({
        kind: bilinear ? OpKind.ResizeBilinear : OpKind.ResizeNearestNeighbor,
        name: node.name,
        inputs: [builder.dequantized(from)],
        output: builder.floatResult(result),
        size,
      });
    },
    lower(builder, store) {
      const input = builder.read(from);
      const common = { name: node.name, inputs: [input], size };
      if (bilinear) {
        const result = store.float ? builder.floatResult(store.result) : builder.result(store.result);
        builder.op({ ...common, kind: OpKind.ResizeBilinear, output: result });
        return;
      }
      const result = builder.result(store.result, builder.paramsOf(input));
      builder.op({ ...common, kind: OpKind.ResizeNearestNeighbor, output: result });
    },
  };
};
