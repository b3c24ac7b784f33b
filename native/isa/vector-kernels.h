// The kernels that look alike on every vector instruction set, written once over a small wrapper `V`:
//   lanes                     elements of a float or int32 vector
//   loadCodes, storeCodes     `lanes` unsigned bytes <-> int32 vector (stored values lie in [0, 255])
//   load, store               floats and int32
//   arithmetic                set, add, sub, mul, div, max, min, toFloat, toInt (round half to even)
// What is left over at the end of an array goes through the scalar variant, which computes the same bits.
#pragma once
#include <cstring>

#include "kernels.h"

namespace lowbit {

template <class V>
struct VectorKernels {
  using Int = typename V::Int;
  using Float = typename V::Float;
  static constexpr size_t kLanes = V::lanes;

  // Clamps as float (max returns its second operand for NaN), rounds, adds the zero point.
  static Int toCodes(Float value, Float low, Float high, Int zeroPoint) {
    return V::add(V::toInt(V::min(V::max(value, low), high)), zeroPoint);
  }

  static void storeCodes(uint8_t* out, Int codes, const uint8_t* table) {
    V::storeCodes(out, codes);
    if (table) {
      for (size_t i = 0; i < kLanes; ++i) out[i] = table[out[i]];
    }
  }

  // Stores the first `count` lanes only.
  static void storeCodesPartly(uint8_t* out, Int codes, const uint8_t* table, size_t count) {
    uint8_t bytes[kLanes];
    storeCodes(bytes, codes, table);
    std::memcpy(out, bytes, count);
  }

  static void quantize(const float* x, size_t count, float scale, int32_t zeroPoint, uint8_t* out) {
    const Float scales = V::set(scale);
    const Float low = V::set(static_cast<float>(-zeroPoint));
    const Float high = V::set(static_cast<float>(255 - zeroPoint));
    const Int zero = V::set(zeroPoint);
    size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      V::storeCodes(out + i, toCodes(V::div(V::load(x + i), scales), low, high, zero));
    }
    scalarKernels().quantize(x + i, count - i, scale, zeroPoint, out + i);
  }

  static void dequantize(const uint8_t* codes, size_t count, float scale, int32_t zeroPoint, float* out) {
    const Float scales = V::set(scale);
    const Int zero = V::set(zeroPoint);
    size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      V::store(out + i, V::mul(V::toFloat(V::sub(V::loadCodes(codes + i), zero)), scales));
    }
    scalarKernels().dequantize(codes + i, count - i, scale, zeroPoint, out + i);
  }

  static void add(const uint8_t* a, const uint8_t* b, size_t count, const AddArgs& args, uint8_t* out) {
    const Int zeroA = V::set(args.zeroA), zeroB = V::set(args.zeroB), zero = V::set(args.zeroPoint);
    const Float multiplierA = V::set(args.multiplierA), multiplierB = V::set(args.multiplierB);
    const Float low = V::set(args.low), high = V::set(args.high);
    size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      const Float left = V::mul(V::toFloat(V::sub(V::loadCodes(a + i), zeroA)), multiplierA);
      const Float right = V::mul(V::toFloat(V::sub(V::loadCodes(b + i), zeroB)), multiplierB);
      storeCodes(out + i, toCodes(V::add(left, right), low, high, zero), args.table);
    }
    scalarKernels().add(a + i, b + i, count - i, args, out + i);
  }

  static void mul(const uint8_t* a, const uint8_t* b, size_t count, const MulArgs& args, uint8_t* out) {
    const Int zeroA = V::set(args.zeroA), zeroB = V::set(args.zeroB), zero = V::set(args.zeroPoint);
    const Float multiplier = V::set(args.multiplier);
    const Float low = V::set(args.low), high = V::set(args.high);
    size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      // The product of two 9-bit integers is exact as a float product.
      const Float product =
          V::mul(V::toFloat(V::sub(V::loadCodes(a + i), zeroA)), V::toFloat(V::sub(V::loadCodes(b + i), zeroB)));
      storeCodes(out + i, toCodes(V::mul(product, multiplier), low, high, zero), args.table);
    }
    scalarKernels().mul(a + i, b + i, count - i, args, out + i);
  }

  static void rescale(const uint8_t* in, size_t count, const RescaleArgs& args, uint8_t* out) {
    const Int zeroIn = V::set(args.zeroIn), zero = V::set(args.zeroPoint);
    const Float multiplier = V::set(args.multiplier);
    const Float low = V::set(args.low), high = V::set(args.high);
    size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      const Float value = V::mul(V::toFloat(V::sub(V::loadCodes(in + i), zeroIn)), multiplier);
      V::storeCodes(out + i, toCodes(value, low, high, zero));
    }
    scalarKernels().rescale(in + i, count - i, args, out + i);
  }

  // steps * multiplier + 0 above zero, 0 + steps * slope below.
  static void prelu(const uint8_t* in, size_t channels, const float* slopes, const RescaleArgs& args, uint8_t* out) {
    const Int zeroIn = V::set(args.zeroIn), zero = V::set(args.zeroPoint);
    const Float multiplier = V::set(args.multiplier), none = V::set(0.0f);
    const Float low = V::set(args.low), high = V::set(args.high);
    size_t c = 0;
    for (; c + kLanes <= channels; c += kLanes) {
      const Float steps = V::toFloat(V::sub(V::loadCodes(in + c), zeroIn));
      const Float above = V::mul(V::max(steps, none), multiplier);
      const Float below = V::mul(V::min(steps, none), V::load(slopes + c));
      V::storeCodes(out + c, toCodes(V::add(above, below), low, high, zero));
    }
    scalarKernels().prelu(in + c, channels - c, slopes + c, args, out + c);
  }

  static void sumRows(const uint8_t* const* rows, int rowCount, int channels, int32_t* sums) {
    int c = 0;
    for (; c + static_cast<int>(kLanes) <= channels; c += kLanes) {
      Int sum = V::load(sums + c);
      for (int r = 0; r < rowCount; ++r) sum = V::add(sum, V::loadCodes(rows[r] + c));
      V::store(sums + c, sum);
    }
    for (; c < channels; ++c) {
      for (int r = 0; r < rowCount; ++r) sums[c] += rows[r][c];
    }
  }

  static void rescaleSums(const int32_t* sums, int channels, int32_t sumOfZeros, const RescaleArgs& args,
                          uint8_t* out) {
    const Int zeros = V::set(sumOfZeros), zero = V::set(args.zeroPoint);
    const Float multiplier = V::set(args.multiplier);
    const Float low = V::set(args.low), high = V::set(args.high);
    int c = 0;
    for (; c + static_cast<int>(kLanes) <= channels; c += kLanes) {
      const Float value = V::mul(V::toFloat(V::sub(V::load(sums + c), zeros)), multiplier);
      V::storeCodes(out + c, toCodes(value, low, high, zero));
    }
    scalarKernels().rescaleSums(sums + c, channels - c, sumOfZeros, args, out + c);
  }

  static void set(Kernels& table) {
    table.quantize = quantize;
    table.dequantize = dequantize;
    table.add = add;
    table.mul = mul;
    table.rescale = rescale;
    table.prelu = prelu;
    table.sumRows = sumRows;
    table.rescaleSums = rescaleSums;
  }

  // One vector of int32 accumulators of a GEMM or a depthwise convolution, `stage` loaded for its channels.
  static Float stageValue(Int accumulator, Int bias, Float multiplier, Float low, Float high) {
    const Float value = V::mul(V::toFloat(V::add(accumulator, bias)), multiplier);
    return V::min(V::max(value, low), high);
  }
};

}  // namespace lowbit
