// The kernels of rows.h that look alike on every vector instruction set, written once over the wrapper `V` of
// vector-kernels.h with, besides:
//   partner<D>(v)   lane i holds lane i ^ D
//   flip(v, signs)  v with the sign bits of an int32 vector exclusive-ored in
#pragma once
#include "rows.h"
#include "vector-kernels.h"

namespace lowbit {

template <class V>
struct VectorRows {
  using Int = typename V::Int;
  using Float = typename V::Float;
  static constexpr size_t kLanes = V::lanes;

  static void rotate(float* values, size_t size, const uint32_t* signs, float multiplier, bool inverse) {
    if (size < 2 * kLanes) {
      scalarKernels().rows.rotate(values, size, signs, multiplier, inverse);
      return;
    }
    const int32_t* flips = reinterpret_cast<const int32_t*>(signs);
    const Int odd[] = {upper(1), upper(2), upper(4), upper(8)};
    for (size_t i = 0; i < size; i += kLanes) {
      Float v = V::load(values + i);
      if (!inverse) v = V::flip(v, V::load(flips + i));
      v = butterfly<1>(v, odd[0]);
      v = butterfly<2>(v, odd[1]);
      v = butterfly<4>(v, odd[2]);
      if constexpr (kLanes > 8) v = butterfly<8>(v, odd[3]);
      V::store(values + i, v);
    }
    // Two strides at a time, which halves the loads and stores; the last step multiplies.
    size_t stride = kLanes;
    for (; 4 * stride < size; stride *= 4) {
      four(values, size, stride, [](Float v, size_t) { return v; });
    }
    const Float factor = V::set(multiplier);
    const auto finish = [&](Float v, size_t i) {
      v = V::mul(v, factor);
      return inverse ? V::flip(v, V::load(flips + i)) : v;
    };
    if (4 * stride == size) {
      four(values, size, stride, finish);
    } else {
      two(values, size, stride, finish);
    }
  }

  static void multiply(const float* x, size_t count, const float* values, size_t stride, int rows, float* sums) {
    for (; rows >= 4; rows -= 4, values += 4 * stride, sums += 4 * kSums) {
      multiplyRows<4>(x, count, values, stride, sums);
    }
    for (; rows > 0; --rows, values += stride, sums += kSums) multiplyRows<1>(x, count, values, stride, sums);
  }

  static void set(Kernels& table) {
    table.rows.rotate = rotate;
    table.rows.multiply = multiply;
  }

 private:
  static constexpr size_t kParts = kSums / kLanes;

  template <int N>
  static void multiplyRows(const float* x, size_t count, const float* values, size_t stride, float* sums) {
    Float total[N][kParts];
    for (int r = 0; r < N; ++r) {
      for (size_t p = 0; p < kParts; ++p) total[r][p] = V::load(sums + r * kSums + p * kLanes);
    }
    size_t k = 0;
    for (; k + kSums <= count; k += kSums) {
#pragma GCC unroll 2
      for (size_t p = 0; p < kParts; ++p) {
        const Float of = V::load(x + k + p * kLanes);
#pragma GCC unroll 4
        for (int r = 0; r < N; ++r) {
          total[r][p] = V::add(total[r][p], V::mul(of, V::load(values + r * stride + k + p * kLanes)));
        }
      }
    }
    for (int r = 0; r < N; ++r) {
      for (size_t p = 0; p < kParts; ++p) V::store(sums + r * kSums + p * kLanes, total[r][p]);
    }
    scalarKernels().rows.multiply(x + k, count - k, values + k, stride, N, sums);
  }

  // The sign bit in the lanes whose number has the bit `distance`.
  static Int upper(size_t distance) {
    int32_t signs[kLanes];
    for (size_t i = 0; i < kLanes; ++i) signs[i] = i & distance ? INT32_MIN : 0;
    return V::load(signs);
  }

  // b + a in the lower lane of a pair, a + (-b) in the upper one.
  template <int D>
  static Float butterfly(Float v, Int upperSigns) {
    return V::add(V::template partner<D>(v), V::flip(v, upperSigns));
  }

  template <class Finish>
  static void two(float* values, size_t size, size_t stride, Finish finish) {
    for (size_t start = 0; start < size; start += 2 * stride) {
      for (size_t i = start; i < start + stride; i += kLanes) {
        const Float a = V::load(values + i), b = V::load(values + i + stride);
        V::store(values + i, finish(V::add(a, b), i));
        V::store(values + i + stride, finish(V::sub(a, b), i + stride));
      }
    }
  }

  template <class Finish>
  static void four(float* values, size_t size, size_t stride, Finish finish) {
    for (size_t start = 0; start < size; start += 4 * stride) {
      for (size_t i = start; i < start + stride; i += kLanes) {
        const size_t j = i + stride, k = j + stride, l = k + stride;
        const Float a = V::load(values + i), b = V::load(values + j), c = V::load(values + k), d = V::load(values + l);
        const Float ab = V::add(a, b), a_b = V::sub(a, b), cd = V::add(c, d), c_d = V::sub(c, d);
        V::store(values + i, finish(V::add(ab, cd), i));
        V::store(values + j, finish(V::add(a_b, c_d), j));
        V::store(values + k, finish(V::sub(ab, cd), k));
        V::store(values + l, finish(V::sub(a_b, c_d), l));
      }
    }
  }
};

}  // namespace lowbit
