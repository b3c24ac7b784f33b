// The kernels of dynamic.h, written once over the wrapper `V` of vector-kernels.h, with
//   loadFirst(p, count, rest)   `count` lanes of p, `rest` in the others
//   storeFirst(p, v, count)     `count` lanes, or all
//   lesser(a, b), greater(a, b) a[i] where a[i] < b[i] (a[i] > b[i]), else b[i]
//   least, greatest             of all lanes
#pragma once
#include <algorithm>

#include "kernels.h"
#include "spread-rows.h"

namespace lowbit {

template <class V>
struct VectorDynamic {
  using Float = typename V::Float;
  static constexpr size_t kLanes = V::lanes;

  // The inverse scales and the zero points of a vector of channels.
  struct Codes {
    Float inverse, zero;

    // max gives its second operand for NaN.
    void store(Float values, uint8_t* codes) const {
      const Float value = V::add(V::mul(values, inverse), zero);
      V::storeCodes(codes, V::toInt(V::min(V::max(value, V::set(0.0f)), V::set(255.0f))));
    }
  };

  struct Extrema {
    Float low, high;

    void extend(Float values) {
      low = V::lesser(values, low);
      high = V::greater(values, high);
    }
  };

  static void extrema(const float* values, size_t count, float* low, float* high) {
    Extrema extrema{V::set(*low), V::set(*high)};
    size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) extrema.extend(V::load(values + i));
    if (i < count) extrema.extend(V::loadFirst(values + i, static_cast<int>(count - i), 0.0f));
    *low = V::least(extrema.low);
    *high = V::greatest(extrema.high);
  }

  static void channelExtrema(const float* values, size_t rows, size_t channels, float* low, float* high) {
    size_t c = 0;
    for (; c + kLanes <= channels; c += kLanes) {
      Extrema extrema{V::load(low + c), V::load(high + c)};
      const float* row = values + c;
      for (size_t r = 0; r < rows; ++r, row += channels) extrema.extend(V::load(row));
      V::store(low + c, extrema.low);
      V::store(high + c, extrema.high);
    }
    if (c == channels) return;
    const int rest = static_cast<int>(channels - c);
    Extrema extrema{V::loadFirst(low + c, rest, 0.0f), V::loadFirst(high + c, rest, 0.0f)};
    const float* row = values + c;
    for (size_t r = 0; r < rows; ++r, row += channels) extrema.extend(V::loadFirst(row, rest, 0.0f));
    V::storeFirst(low + c, extrema.low, rest);
    V::storeFirst(high + c, extrema.high, rest);
  }

  static void quantize(const float* values, size_t rows, size_t channels, const DynamicRange& range, uint8_t* codes,
                       size_t pitch) {
    const Codes shared{V::set(range.inverse), V::set(range.zero)};
    if (pitch != channels && channels < kLanes) {
      quantizeNarrow(values, rows, channels, shared, codes, pitch);
      return;
    }
    if (pitch == channels) channels *= rows, rows = 1;
    for (size_t r = 0; r < rows; ++r) quantizeRow(shared, values + r * channels, channels, codes + r * pitch);
  }

  static void quantizeChannels(const float* values, size_t rows, size_t channels, const float* inverse,
                               const float* zero, uint8_t* codes, size_t pitch) {
    for (size_t c = 0; c < channels; c += kLanes) {
      const Codes own{load(inverse, c, channels), load(zero, c, channels)};
      for (size_t r = 0; r < rows; ++r) {
        storeCodes(own, load(values + r * channels, c, channels), channels, c, codes + r * pitch);
      }
    }
  }

  static void quantizeRows(const float* values, size_t rows, size_t channels, uint8_t* codes, size_t pitch,
                           float* scale, float* shift) {
    for (size_t r = 0; r < rows; ++r, values += channels) {
      float low = 0, high = 0;
      extrema(values, channels, &low, &high);
      const DynamicRange range = dynamicRange(low, high);
      const Codes own{V::set(range.inverse), V::set(range.zero)};
      quantizeRow(own, values, channels, codes + r * pitch);
      scale[r] = range.scale;
      shift[r] = range.scale * range.zero;
    }
  }

  static void finish(float* values, size_t rows, size_t stride, size_t count, const float* scale, const float* shift,
                     size_t step, const float* bias, const float* sum, float low, float high) {
    const Extrema bounds{V::set(low), V::set(high)};
    for (size_t n = 0; n < count; n += kLanes) {
      const Float biases = load(bias, n, count), sums = load(sum, n, count);
      for (size_t m = 0; m < rows; ++m) {
        const Float offset = V::sub(biases, V::mul(V::set(shift[m * step]), sums));
        finishVector(values + m * stride + n, count - n, V::set(scale[m * step]), offset, bounds);
      }
    }
  }

  static void finishChannels(float* values, size_t rows, size_t stride, size_t count, const float* scale,
                             const float* shift, const float* bias, const float* sum, float low, float high) {
    const Extrema bounds{V::set(low), V::set(high)};
    for (size_t n = 0; n < count; n += kLanes) {
      const Float scales = load(scale, n, count);
      const Float offset = V::sub(load(bias, n, count), V::mul(load(shift, n, count), load(sum, n, count)));
      for (size_t m = 0; m < rows; ++m) finishVector(values + m * stride + n, count - n, scales, offset, bounds);
    }
  }

  static void set(Kernels& table) {
    table.dynamic.extrema = extrema;
    table.dynamic.channelExtrema = channelExtrema;
    table.dynamic.quantize = quantize;
    table.dynamic.quantizeChannels = quantizeChannels;
    table.dynamic.quantizeRows = quantizeRows;
    table.dynamic.finish = finish;
    table.dynamic.finishChannels = finishChannels;
  }

 private:
  // The vector at `at` of `count` numbers, with zeros past their end.
  static Float load(const float* from, size_t at, size_t count) {
    return at + kLanes <= count ? V::load(from + at) : V::loadFirst(from + at, static_cast<int>(count - at), 0.0f);
  }

  // Codes of the vector at channel c. A row of codes may be written up to its pitch, a multiple of 16 from 5 channels
  // on.
  static void storeCodes(const Codes& own, Float values, size_t channels, size_t c, uint8_t* row) {
    static_assert(kLanes <= 16, "a vector of codes stays within the pitch");
    if (channels > 4) {
      own.store(values, row + c);
      return;
    }
    uint8_t few[kLanes];
    own.store(values, few);
    for (size_t i = 0; i < channels; ++i) row[i] = few[i];
  }

  static void quantizeRow(const Codes& own, const float* values, size_t channels, uint8_t* row) {
    for (size_t c = 0; c < channels; c += kLanes) storeCodes(own, load(values, c, channels), channels, c, row);
  }

  // Pixels of few channels, side by side at first.
  static void quantizeNarrow(const float* values, size_t rows, size_t channels, const Codes& shared, uint8_t* codes,
                             size_t pitch) {
    constexpr size_t kPixels = 256;
    uint8_t dense[kPixels * kLanes];
    for (size_t first = 0; first < rows; first += kPixels) {
      const size_t count = std::min(kPixels, rows - first);
      quantizeRow(shared, values + first * channels, count * channels, dense);
      spreadRows(dense, count, channels, codes + first * pitch, pitch);
    }
  }

  // The first `count` values, or a vector of them.
  static void finishVector(float* values, size_t count, Float scale, Float offset, const Extrema& bounds) {
    const Float value = V::add(V::mul(load(values, 0, count), scale), offset);
    V::storeFirst(values, V::lesser(V::greater(value, bounds.low), bounds.high), static_cast<int>(count));
  }
};

}  // namespace lowbit
