// The inner loops of expert routing, written once over a vector wrapper `V` with, beside what vector-kernels.h asks for:
//   clean(v)          NaN as -infinity
//   equalBits(a, b)   bit i: a[i] == b[i]
//   atLeastBits(a, b) bit i: a[i] >= b[i]
//   below(v, limit)   v[i] where v[i] < limit[i], else -infinity
//   lesser(a, b)      a[i] where a[i] < b[i], else b[i]
//   greatest(v), least(v)   over the lanes
//   powerOfTwo(n)     2^n of integers n from -126 to 127
//   unlessBelow(x, limit, v)   v[i] where x[i] >= limit[i], else 0
//   second(a, b)      the second greatest of the lanes of a and b, where a[i] >= b[i]
#pragma once
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "../ops/exp.h"

namespace lowbit {

// What routing needs of an instruction set. Keys come in multiples of kRoutingLanes, the rest -infinity.
struct RoutingKernels {
  // keys[e] = score[e] + bonus[e], a score that is NaN counting as -infinity; without a bonus where it is null. extremes:
  // the greatest score and the least above -infinity.
  void (*keys)(const float* scores, const float* bonus, int experts, float* keys, float* extremes);
  // The experts of the `count` greatest keys, greatest first, of equal ones the lowest first.
  void (*select)(const float* keys, int padded, int count, int32_t* ids);
  // x = exp(x) of numbers that are not above 0.
  void (*exponentials)(float* x, size_t count);
  // keys and select with a count of 2 for every row of scores [tokens, experts] at once; ids [tokens, 2] with falling
  // scores, equal ones by number; gaps[token]: the second score less the first, neither above the greatest finite number.
  // ranges, unless null: the sum of the differences of the rows' extremes. Returns the first row without a score above -infinity, or -1.
  int (*pairs)(const float* scores, const float* bonus, int tokens, int experts, int32_t* ids, float* gaps,
               double* ranges);
};

constexpr int kMostExperts = 1024;
constexpr int kRoutingLanes = 16;

// NaN counts as -infinity; the difference of two scores shall be a number unless both are -infinity.
static inline float cleanScore(float score) {
  const float number = score > -INFINITY ? score : -INFINITY;
  return number < FLT_MAX ? number : FLT_MAX;
}

inline int paddedExperts(int experts) { return (experts + kRoutingLanes - 1) / kRoutingLanes * kRoutingLanes; }

template <class V>
struct VectorRouting {
  using Float = typename V::Float;
  static constexpr int kLanes = V::lanes;
  static_assert(kRoutingLanes % kLanes == 0, "keys are padded to whole vectors");

  static void keys(const float* scores, const float* bonus, int experts, float* keys, float* extremes) {
    Float high = V::set(-INFINITY), low = V::set(INFINITY);
    const int padded = paddedExperts(experts);
    for (int e = 0; e < padded; e += kLanes) {
      const Float raw = e + kLanes <= experts ? V::load(scores + e) : loadPartly(scores + e, experts - e, NAN);
      const Float score = V::clean(raw);
      high = V::max(score, high);
      low = V::lesser(raw, low);
      V::store(keys + e, bonus ? V::add(score, V::load(bonus + e)) : score);
    }
    // Of two zeros that of no sign.
    extremes[0] = V::greatest(high) + 0.0f;
    extremes[1] = leastScore(V::least(low), scores, experts) + 0.0f;
  }

  // One pass finds the greatest key below the last one, another all experts that have it, 64 at a time.
  static void select(const float* keys, int padded, int count, int32_t* ids) {
    Float best = maximum(keys, padded, [](Float key) { return key; });
    for (int found = 0;;) {
      for (int first = 0; first < padded; first += 64) {
        uint64_t bits = bitsOf(keys + first, padded - first, best, V::equalBits);
        for (; bits != 0; bits &= bits - 1) {
          ids[found] = first + __builtin_ctzll(bits);
          if (++found == count) return;
        }
      }
      best = maximum(keys, padded, [best](Float key) { return V::below(key, best); });
    }
  }

  static int pairs(const float* scores, const float* bonus, int tokens, int experts, int32_t* ids, float* gaps,
                   double* ranges) {
    if (ranges) {
      return bonus ? pairs<true, true>(scores, bonus, tokens, experts, ids, gaps, ranges)
                   : pairs<false, true>(scores, bonus, tokens, experts, ids, gaps, ranges);
    }
    return bonus ? pairs<true, false>(scores, bonus, tokens, experts, ids, gaps, ranges)
                 : pairs<false, false>(scores, bonus, tokens, experts, ids, gaps, ranges);
  }

  static void exponentials(float* x, size_t count) {
    size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) V::store(x + i, exponential(V::load(x + i)));
    for (; i < count; ++i) x[i] = expOfNonPositive(x[i]);
  }

 private:
  template <bool kBonus, bool kRange>
  static int pairs(const float* scores, const float* bonus, int tokens, int experts, int32_t* ids, float* gaps,
                   double* ranges) {
    alignas(64) float keys[kMostExperts];
    const int padded = paddedExperts(experts);
    double sum = 0;
    for (int token = 0; token < tokens; ++token, scores += experts, ids += 2) {
      const Float nothing = V::set(-INFINITY);
      Float first = nothing, second = nothing, high = nothing, low = V::set(INFINITY);
      const auto take = [&](int e, Float raw) {
        const Float score = V::clean(raw);
        const Float key = kBonus ? V::add(score, V::load(bonus + e)) : score;
        V::store(keys + e, key);
        second = V::max(V::min(first, key), second);
        first = V::max(first, key);
        if (!kRange) return;
        high = V::max(score, high);
        low = V::lesser(raw, low);
      };
      int e = 0;
      // Four at a time, for the processor to overlap.
      for (; e + 4 * kLanes <= experts; e += 4 * kLanes) {
        take(e, V::load(scores + e));
        take(e + kLanes, V::load(scores + e + kLanes));
        take(e + 2 * kLanes, V::load(scores + e + 2 * kLanes));
        take(e + 3 * kLanes, V::load(scores + e + 3 * kLanes));
      }
      for (; e + kLanes <= experts; e += kLanes) take(e, V::load(scores + e));
      for (; e < padded; e += kLanes) take(e, loadPartly(scores + e, experts - e, NAN));
      const float runnerUp = V::second(first, second);
      // Then only one expert or none has a score above -infinity.
      if (runnerUp == -INFINITY && V::greatest(first) == -INFINITY) return token;
      if (!selectTwo(keys, padded, V::set(runnerUp), ids)) select(keys, padded, 2, ids);
      gaps[token] = orderByScore(scores, ids);
      if (!kRange) continue;
      sum += static_cast<double>(V::greatest(high));
      sum -= static_cast<double>(leastScore(V::least(low), scores, experts));
    }
    if (kRange) *ranges = sum;
    return -1;
  }

  static Float loadPartly(const float* from, int count, float rest) {
    float lanes[kLanes];
    for (int i = 0; i < kLanes; ++i) lanes[i] = i < count ? from[i] : rest;
    return V::load(lanes);
  }

  // `least` unless that is -infinity, then the least score above it.
  static float leastScore(float least, const float* scores, int experts) {
    if (least > -INFINITY) return least;
    least = INFINITY;
    for (int e = 0; e < experts; ++e) {
      if (scores[e] > -INFINITY && scores[e] < least) least = scores[e];
    }
    return least;
  }

  // The experts whose key reaches `limit`, by number; false unless they are two.
  static bool selectTwo(const float* keys, int padded, Float limit, int32_t* ids) {
    int32_t a = -1, b = -1;
    for (int e = 0; e < padded; e += 64) {
      const uint64_t bits = bitsOf(keys + e, padded - e, limit, V::atLeastBits);
      if (bits == 0) continue;
      const uint64_t rest = bits & (bits - 1);
      const int32_t lowest = e + __builtin_ctzll(bits);
      if (a >= 0) {
        if (b >= 0 || rest != 0) return false;
        b = lowest;
        continue;
      }
      a = lowest;
      if (rest == 0) continue;
      if ((rest & (rest - 1)) != 0) return false;
      b = e + __builtin_ctzll(rest);
    }
    ids[0] = a;
    ids[1] = b;
    return true;
  }

  // As expOfNonPositive, step by step.
  static Float exponential(Float x) {
    const Float least = V::set(-87.0f), round = V::set(12582912.0f);
    const Float clamped = V::max(x, least);
    const Float n = V::sub(V::add(V::mul(clamped, V::set(1.44269504f)), round), round);
    const Float r = V::sub(V::sub(clamped, V::mul(n, V::set(0.693359375f))), V::mul(n, V::set(-2.12194440e-4f)));
    Float sum = V::set(1.0f / 5040);
    for (const float term : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) {
      sum = V::add(V::mul(sum, r), V::set(term));
    }
    return V::unlessBelow(x, least, V::mul(sum, V::powerOfTwo(V::toInt(n))));
  }

  // Sorts two experts and returns the difference of their scores.
  static float orderByScore(const float* scores, int32_t* ids) {
    const int32_t a = ids[0], b = ids[1];
    const float first = cleanScore(scores[a]), second = cleanScore(scores[b]);
    // No branch: which comes first cannot be foretold.
    const int32_t swap = (second > first) | ((second == first) & (b < a));
    const int32_t change = (a ^ b) & -swap;
    ids[0] = a ^ change;
    ids[1] = b ^ change;
    return -std::fabs(first - second);
  }

  template <class Filter>
  static Float maximum(const float* keys, int padded, Filter filter) {
    Float high = filter(V::load(keys));
    for (int e = kLanes; e < padded; e += kLanes) high = V::max(filter(V::load(keys + e)), high);
    return V::set(V::greatest(high));
  }

  // Of the first 64 keys.
  template <class Compare>
  static uint64_t bitsOf(const float* keys, int count, Float value, Compare compare) {
    uint64_t bits = 0;
    if (count >= 64) {
#pragma GCC unroll 8
      for (int e = 0; e < 64; e += kLanes) bits |= static_cast<uint64_t>(compare(V::load(keys + e), value)) << e;
      return bits;
    }
    for (int e = 0; e < count; e += kLanes) bits |= static_cast<uint64_t>(compare(V::load(keys + e), value)) << e;
    return bits;
  }
};

}  // namespace lowbit
