// The kernels of routing.h, written once over the wrapper `V` of vector-kernels.h with, besides:
//   loadFirst(p, count, rest)   count floats, fewer than lanes, and `rest` in the lanes after them
//   hold(&v)          keeps what was loaded in a register, where a compiler would load it anew for each use
//   clean(v)          NaN as -infinity
//   equalBits(a, b)   bit i: a[i] == b[i]
//   atLeastBits(a, b) bit i: a[i] >= b[i]
//   below(v, limit)   v[i] where v[i] < limit[i], else -infinity
//   lesser(a, b), greater(a, b)   a[i] where a[i] < b[i] (a[i] > b[i]), else b[i]
//   greatest(v), least(v)   over the lanes
//   powerOfTwo(n)     2^n of integers n from -126 to 127
//   unlessBelow(x, limit, v)   v[i] where x[i] >= limit[i], else 0
//   ifGreater(x, y, a, b)      a[i] of integers where x[i] > y[i], else b[i]
//   interleave(a, b, &x, &y)   x, y = a[0], b[0], a[1], b[1], ...; of floats and integers
//   split<Step>(a, b, &x, &y)  the lanes of a and b dealt out to x and y, each half of either vector in order of a, b:
//   where
//                              vectors 2i and 2i + 1 become op(x, y) for steps 0, 1, ... until one is left, its lane i
//                              is the op of all lanes of vector i
#pragma once
#include <algorithm>
#include <cfloat>
#include <cmath>

#include "../base/exp.h"
#include "kernels.h"

namespace lowbit {

template <class V>
struct VectorRouting {
  using Float = typename V::Float;
  static constexpr int kLanes = V::lanes;
  static_assert(kRoutingLanes % kLanes == 0, "keys are padded to whole vectors");

  static void keys(const float* scores, const float* bonus, int experts, float* keys, float* extremes) {
    Float high = V::set(-INFINITY), low = V::set(INFINITY);
    const int padded = paddedExperts(experts);
    for (int e = 0; e < padded; e += kLanes) {
      const Float raw = e + kLanes <= experts ? V::load(scores + e) : V::loadFirst(scores + e, experts - e, NAN);
      high = V::greater(raw, high);
      low = V::lesser(raw, low);
      V::store(keys + e, V::clean(bonus ? V::add(raw, V::load(bonus + e)) : raw));
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

  static int pairs(const float* scores, const float* bonus, int tokens, int experts, float weightScale, int32_t* ids,
                   float* weights, double* ranges) {
    if (ranges) *ranges = 0;
    for (int done = 0; done < tokens; done += kChunk) {
      const size_t at = static_cast<size_t>(done);
      const Rows rows{scores + at * experts, bonus, std::min(kChunk, tokens - done), experts};
      const int bad = bonus ? chunkOfPairs<true>(rows, weightScale, ids + 2 * at, weights + 2 * at, ranges)
                            : chunkOfPairs<false>(rows, weightScale, ids + 2 * at, weights + 2 * at, ranges);
      if (bad >= 0) return done + bad;
    }
    return -1;
  }

  static void exponentials(float* x, size_t count) {
    size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) V::store(x + i, exponential(V::load(x + i)));
    for (; i < count; ++i) x[i] = expOfNonPositive(x[i]);
  }

  static void set(Kernels& table) {
    table.routing.keys = keys;
    table.routing.select = select;
    table.routing.exponentials = exponentials;
    table.routing.pairs = pairs;
  }

 private:
  // Tokens that go through each step of pairs() together: the results of one are there before the next asks for them.
  static constexpr int kChunk = 64;

  struct Rows {
    const float* scores;
    const float* bonus;
    int count;
    int experts;

    const float* row(int token) const { return scores + static_cast<size_t>(token) * experts; }
    bool isHopeless(int token) const {
      return std::none_of(row(token), row(token) + experts, [](float score) { return score > -INFINITY; });
    }
  };

  struct Pair {
    int32_t low, high;
  };

  // What pairs() knows of the tokens of a chunk.
  struct Pairs {
    alignas(64) float limits[kChunk];  // at least two keys reach it, and seldom more; NaN where there is none
    alignas(64) float ranges[kChunk];
    alignas(64) int32_t low[kChunk];  // the lower of the two experts
    alignas(64) int32_t high[kChunk];
    alignas(64) float scoreOfLow[kChunk];
    alignas(64) float scoreOfHigh[kChunk];
  };

  template <bool kBonus>
  static int chunkOfPairs(const Rows& rows, float weightScale, int32_t* ids, float* weights, double* ranges) {
    Pairs pairs;
    for (int first = 0; first < rows.count; first += kLanes) {
      const int bad =
          ranges ? limitsOf<kBonus, true>(rows, first, &pairs) : limitsOf<kBonus, false>(rows, first, &pairs);
      if (bad >= 0) return bad;
    }
    if (ranges) {
      std::fill(pairs.ranges + rows.count, pairs.ranges + kChunk, 0.0f);
      for (int first = 0; first < rows.count; first += kRangeBlock) *ranges += totalOf(pairs.ranges + first);
    }
    for (int token = 0; token < rows.count; ++token) findPair<kBonus>(rows, token, &pairs);
    for (int first = 0; first < rows.count; first += kLanes) {
      weighPairs(pairs, first, rows.count - first, weightScale, ids + 2 * first, weights + 2 * first);
    }
    return -1;
  }

  // The limits and ranges of so many tokens as a vector has lanes, or all that are left. Returns the first one without
  // a score above -infinity, or -1.
  //
  // A limit is the second greatest of the greatest keys of some columns, two to a lane: less than the second greatest
  // key only where one column has both of the greatest, but found with half of the comparisons.
  template <bool kBonus, bool kRange>
  static int limitsOf(const Rows& rows, int firstToken, Pairs* pairs) {
    const Float nothing = V::set(-INFINITY);
    const int count = std::min(kLanes, rows.count - firstToken), experts = rows.experts;
    Float first[kLanes], second[kLanes], high[kRange ? kLanes : 1], low[kRange ? kLanes : 1];
    for (int t = 0; t < count; ++t) {
      const float* scores = rows.row(firstToken + t);
      Float even = nothing, odd = nothing, most = nothing, least = V::set(INFINITY);
      const auto take = [&](int e, Float raw, Float* best) {
        if (kRange) V::hold(&raw);
        *best = V::greater(kBonus ? V::add(raw, V::load(rows.bonus + e)) : raw, *best);
        if (!kRange) return;
        if (kBonus) most = V::greater(raw, most);
        least = V::lesser(raw, least);
      };
      int e = 0;
      for (; e + 4 * kLanes <= experts; e += 4 * kLanes) {
#pragma GCC unroll 4
        for (int i = 0; i < 4 * kLanes; i += 2 * kLanes) {
          take(e + i, V::load(scores + e + i), &even);
          take(e + i + kLanes, V::load(scores + e + i + kLanes), &odd);
        }
      }
      for (; e + kLanes <= experts; e += kLanes) take(e, V::load(scores + e), &even);
      if (e < experts) take(e, V::loadFirst(scores + e, experts - e, NAN), &odd);
      first[t] = V::max(even, odd);
      second[t] = V::min(even, odd);
      if (kRange) high[t] = kBonus ? most : first[t], low[t] = least;
    }
    for (int t = count; t < kLanes; ++t) {
      first[t] = second[t] = nothing;
      if (kRange) high[t] = low[t] = V::set(0.0f);
    }
    foldPairs<0>(first, second);
    V::store(pairs->limits + firstToken, second[0]);
    uint64_t doubtful = V::equalBits(second[0], nothing) & ((uint64_t{1} << count) - 1);
    for (; doubtful != 0; doubtful &= doubtful - 1) {
      const int token = firstToken + __builtin_ctzll(doubtful);
      if (rows.isHopeless(token)) return token;
      pairs->limits[token] = NAN;
    }
    if (!kRange) return -1;
    fold<0>(high, [](Float a, Float b) { return V::max(a, b); });
    fold<0>(low, [](Float a, Float b) { return V::min(a, b); });
    V::store(pairs->ranges + firstToken, V::sub(high[0], low[0]));
    uint64_t unbounded = V::equalBits(low[0], nothing) & ((uint64_t{1} << count) - 1);
    for (; unbounded != 0; unbounded &= unbounded - 1) {
      const int token = firstToken + __builtin_ctzll(unbounded);
      float most[kLanes];
      V::store(most, high[0]);
      pairs->ranges[token] = most[token - firstToken] - leastScore(-INFINITY, rows.row(token), experts);
    }
    return -1;
  }

  // first[0], second[0]: lane i the greatest and the second greatest lane of first[i] and second[i], where no lane of
  // the former is less than that of the latter.
  template <int Step>
  static void foldPairs(Float* first, Float* second) {
    constexpr int kHalf = kLanes >> (Step + 1);
    for (int i = 0; i < kHalf; ++i) {
      Float a, b, c, d;
      V::template split<Step>(first[2 * i], first[2 * i + 1], &a, &b);
      V::template split<Step>(second[2 * i], second[2 * i + 1], &c, &d);
      first[i] = V::max(a, b);
      second[i] = V::max(V::min(a, b), V::max(c, d));
    }
    if constexpr (kHalf > 1) foldPairs<Step + 1>(first, second);
  }

  // v[0]: lane i is op of the lanes of v[i].
  template <int Step, class Operation>
  static void fold(Float* v, Operation op) {
    constexpr int kHalf = kLanes >> (Step + 1);
    for (int i = 0; i < kHalf; ++i) {
      Float a, b;
      V::template split<Step>(v[2 * i], v[2 * i + 1], &a, &b);
      v[i] = op(a, b);
    }
    if constexpr (kHalf > 1) fold<Step + 1>(v, op);
  }

  template <bool kBonus>
  static void findPair(const Rows& rows, int token, Pairs* pairs) {
    const float* scores = rows.row(token);
    Pair pair;
    if (!findReaching<kBonus>(rows, scores, V::set(pairs->limits[token]), &pair)) {
      pair = selectPair<kBonus>(rows, scores, pairs->limits[token]);
    }
    pairs->low[token] = pair.low;
    pairs->high[token] = pair.high;
    pairs->scoreOfLow[token] = scores[pair.low];
    pairs->scoreOfHigh[token] = scores[pair.high];
  }

  static void weighPairs(const Pairs& pairs, int first, int count, float weightScale, int32_t* ids, float* weights) {
    const auto scoresOf = [&](const float* scores) {
      return V::min(V::clean(V::load(scores + first)), V::set(FLT_MAX));
    };
    const auto finite = [](Float score) { return V::max(score, V::set(-FLT_MAX)); };
    const auto low = V::load(pairs.low + first), high = V::load(pairs.high + first);
    const Float ofLow = scoresOf(pairs.scoreOfLow), ofHigh = scoresOf(pairs.scoreOfHigh);
    const Float gap = V::sub(finite(V::min(ofLow, ofHigh)), finite(V::max(ofLow, ofHigh)));
    const Float e = exponential(gap), sum = V::add(V::set(1.0f), e), scale = V::set(weightScale);
    Float weightOf[2];
    typename V::Int idOf[2];
    V::interleave(V::mul(V::div(V::set(1.0f), sum), scale), V::mul(V::div(e, sum), scale), &weightOf[0], &weightOf[1]);
    V::interleave(V::ifGreater(ofHigh, ofLow, high, low), V::ifGreater(ofHigh, ofLow, low, high), &idOf[0], &idOf[1]);
    storePairs(weightOf, count, weights);
    storePairs(idOf, count, ids);
  }

  // The first `count` pairs of two vectors of them.
  template <class Vector, class T>
  static void storePairs(const Vector (&pairs)[2], int count, T* out) {
    if (count >= kLanes) {
      V::store(out, pairs[0]);
      V::store(out + kLanes, pairs[1]);
      return;
    }
    T lanes[2 * kLanes];
    V::store(lanes, pairs[0]);
    V::store(lanes + kLanes, pairs[1]);
    std::copy(lanes, lanes + 2 * count, out);
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

  // Bit i: the key of expert e + i reaches the limit.
  template <bool kBonus>
  static uint64_t reaching(const Rows& rows, const float* scores, int e, Float limit) {
    const auto bitsAt = [&](int i, Float raw) {
      const Float key = kBonus ? V::add(raw, V::load(rows.bonus + e + i)) : raw;
      return static_cast<uint64_t>(V::atLeastBits(key, limit)) << i;
    };
    const int count = rows.experts - e;
    scores += e;
    uint64_t bits = 0;
    if (count >= 64) {
#pragma GCC unroll 8
      for (int i = 0; i < 64; i += kLanes) bits |= bitsAt(i, V::load(scores + i));
      return bits;
    }
    int i = 0;
    for (; i + kLanes <= count; i += kLanes) bits |= bitsAt(i, V::load(scores + i));
    return i < count ? bits | bitsAt(i, V::loadFirst(scores + i, count - i, NAN)) : bits;
  }

  // The experts whose key reaches the limit; false unless they are two.
  template <bool kBonus>
  static bool findReaching(const Rows& rows, const float* scores, Float limit, Pair* pair) {
    int found = 0;
    for (int e = 0; e < rows.experts; e += 64) {
      const uint64_t bits = reaching<kBonus>(rows, scores, e, limit);
      if (bits == 0) continue;
      if (found == 0) pair->low = e + __builtin_ctzll(bits);
      pair->high = e + 63 - __builtin_clzll(bits);
      found += __builtin_popcountll(bits);
    }
    return found == 2;
  }

  // The two greatest of the keys that reach the limit, of equal ones the lowest.
  template <bool kBonus>
  __attribute__((noinline)) static Pair selectPair(const Rows& rows, const float* scores, float limit) {
    int32_t ids[2] = {};
    if (std::isnan(limit)) {
      // One is at -infinity, where NaN counts as much.
      alignas(64) float keysOf[kMaxExperts] = {};
      float extremes[2];
      keys(scores, rows.bonus, rows.experts, keysOf, extremes);
      select(keysOf, paddedExperts(rows.experts), 2, ids);
      return {std::min(ids[0], ids[1]), std::max(ids[0], ids[1])};
    }
    float first = -INFINITY, second = -INFINITY;
    for (int e = 0; e < rows.experts; e += 64) {
      uint64_t bits = reaching<kBonus>(rows, scores, e, V::set(limit));
      for (; bits != 0; bits &= bits - 1) {
        const int32_t id = e + __builtin_ctzll(bits);
        const float key = kBonus ? scores[id] + rows.bonus[id] : scores[id];
        if (key > first) {
          ids[1] = ids[0];
          second = first;
          ids[0] = id;
          first = key;
        } else if (key > second) {
          ids[1] = id;
          second = key;
        }
      }
    }
    return {std::min(ids[0], ids[1]), std::max(ids[0], ids[1])};
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
