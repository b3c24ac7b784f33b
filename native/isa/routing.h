// The inner loops of expert routing.
#pragma once
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "../base/ceil-div.h"
#include "rows.h"

namespace lowbit {

// What routing needs of an instruction set. Keys come in multiples of kRoutingLanes, the rest -infinity.
struct RoutingKernels {
  // keys[e] = score[e] + bonus[e], without a bonus where it is null; NaN counts as -infinity. extremes: the greatest
  // score and the least above -infinity.
  void (*keys)(const float* scores, const float* bonus, int experts, float* keys, float* extremes);
  // The experts of the `count` greatest keys, greatest first, of equal ones the lowest first.
  void (*select)(const float* keys, int padded, int count, int32_t* ids);
  // x = exp(x) of numbers that are not above 0.
  void (*exponentials)(float* x, size_t count);
  // keys and select with a count of 2 for every row of scores [tokens, experts] at once; ids [tokens, 2] with falling
  // scores, equal ones by number; weights [tokens, 2]: 1 / (1 + e) and e / (1 + e), times weightScale, with e the exp
  // of the second score less the first, both made finite. ranges, unless null: the sum of the ranges of the rows, a
  // range being the difference of the extremes; see kRangeBlock. Returns the first row without a score above -infinity,
  // or -1.
  int (*pairs)(const float* scores, const float* bonus, int tokens, int experts, float weightScale, int32_t* ids,
               float* weights, double* ranges);
};

constexpr int kMaxExperts = 1024;
constexpr int kRoutingLanes = 16;
// Ranges of so many tokens are added up by totalOf, in float32, and such sums in order.
constexpr int kRangeBlock = kSums;

// NaN counts as -infinity, infinity as the greatest finite number.
static inline float cleanScore(float score) {
  const float number = score > -INFINITY ? score : -INFINITY;
  return number < FLT_MAX ? number : FLT_MAX;
}

// A cleaned score with -infinity made finite as well, so that the difference of any two is a number.
static inline float finiteScore(float score) { return score > -FLT_MAX ? score : -FLT_MAX; }

static inline int paddedExperts(int experts) {
  return static_cast<int>(ceilDiv(experts, kRoutingLanes)) * kRoutingLanes;
}

}  // namespace lowbit
