#include "route.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <functional>

#include "../isa/routing.h"
#include "../base/exp.h"
#include "../base/error.h"

namespace lowbit {
namespace {

void check(const lowbit_router& router) {
  const auto expect = [](int32_t value, const char* what, int32_t least, int32_t most) {
    if (value >= least && value <= most) return;
    fail(LOWBIT_INVALID_ARGUMENT, "Routing: %s is %d, expected %d to %d.", what, value, least, most);
  };
  expect(router.experts, "the number of experts", 2, kMaxExperts);
  expect(router.top_k, "top-k", 1, std::min(router.experts, kMaxChosen));
  expect(router.protect, "the number of protected picks", 0, router.top_k);
  expect(router.groups, "the number of groups", 1, router.experts);
  if (router.experts % router.groups != 0) {
    fail(LOWBIT_INVALID_ARGUMENT, "Routing: %d experts do not divide into %d groups.", router.experts, router.groups);
  }
  const int32_t groupSize = router.experts / router.groups;
  expect(router.top_groups, "the number of groups to choose", 1, router.groups);
  expect(router.group_top, "the number of scores that rank a group", 1, groupSize);
  if (router.top_groups * groupSize < router.top_k) {
    fail(LOWBIT_INVALID_ARGUMENT, "Routing: %d groups of %d experts hold fewer than top-k, %d.", router.top_groups,
         groupSize, router.top_k);
  }
  if (!std::isfinite(router.bonus) || router.bonus < 0) {
    fail(LOWBIT_INVALID_ARGUMENT, "Routing: the bonus is %g, expected a finite number of at least 0.", router.bonus);
  }
}

class Router {
 public:
  Router(const RoutingKernels& kernels, const RouteArgs& args)
      : kernels_(kernels),
        args_(args),
        router_(args.router),
        padded_(paddedExperts(router_.experts)),
        bonus_(args.resident && router_.bonus > 0),
        staged_(router_.groups > 1 || (bonus_ && router_.protect > 0)) {
    // Only as much of the arrays as is read is set: a call may be about one token.
    std::fill_n(bias_, padded_, 0.0f);
    std::fill_n(extra_, padded_, 0.0f);
    for (int32_t e = 0; e < router_.experts && args.bias; ++e) bias_[e] = cleanScore(args.bias[e]);
    for (int32_t e = 0; e < router_.experts && bonus_; ++e) extra_[e] = args.resident[e] ? router_.bonus : 0;
    if (!staged_ && args.bias) {
      for (int32_t e = 0; e < router_.experts; ++e) extra_[e] += bias_[e];
    }
  }

  void run() {
    if (router_.top_k == 2 && !router_.sigmoid && router_.normalize && !staged_) return runPairs();
    double ranges = 0;
    for (int32_t token = 0; token < args_.tokens; ++token) {
      const float* logits = args_.logits + static_cast<size_t>(token) * router_.experts;
      const float* scores = router_.sigmoid ? sigmoids(logits) : logits;
      float extremes[2];
      choose(scores, extremes, token);
      ranges += static_cast<double>(extremes[0]);
      ranges -= static_cast<double>(extremes[1]);
      sortAndWeigh(scores, extremes[0], token);
    }
    reportRange(ranges);
    const size_t count = static_cast<size_t>(args_.tokens) * router_.top_k;
    if (!router_.sigmoid) kernels_.exponentials(args_.weights, count);
    for (size_t i = 0; i < count; i += router_.top_k) scale(args_.weights + i, static_cast<int32_t>(i / router_.top_k));
  }

 private:
  // The most usual case, without stops between the steps of a token.
  void runPairs() {
    double ranges = 0;
    const int bad = kernels_.pairs(args_.logits, extras(), args_.tokens, router_.experts, router_.weight_scale,
                                   args_.ids, args_.weights, args_.meanRange ? &ranges : nullptr);
    if (bad >= 0) refuse(bad);
    reportRange(ranges);
  }

  const float* extras() const { return bonus_ || args_.bias ? extra_ : nullptr; }

  [[noreturn]] static void refuse(int32_t token) {
    fail(LOWBIT_INVALID_ARGUMENT, "Routing: row %d of the logits has no number that an expert could be chosen by.",
         token);
  }

  void reportRange(double sum) const {
    if (args_.meanRange) *args_.meanRange = args_.tokens == 0 ? 0 : static_cast<float>(sum / args_.tokens);
  }

  const float* sigmoids(const float* logits) {
    for (int32_t e = 0; e < router_.experts; ++e) {
      sigmoids_[e] = std::isnan(logits[e]) ? -INFINITY : sigmoid(logits[e]);
    }
    return sigmoids_;
  }

  void choose(const float* scores, float* extremes, int32_t token) {
    int32_t* ids = args_.ids + static_cast<size_t>(token) * router_.top_k;
    kernels_.keys(scores, staged_ ? (args_.bias ? bias_ : nullptr) : extras(), router_.experts, keys_, extremes);
    if (extremes[0] == -INFINITY) refuse(token);
    if (staged_) {
      if (router_.groups > 1) limitGroups();
      if (bonus_) favourResidents();
    }
    kernels_.select(keys_, padded_, router_.top_k, ids);
  }

  void limitGroups() {
    const int32_t size = router_.experts / router_.groups;
    float ranks[kMaxExperts];
    for (int32_t g = 0; g < router_.groups; ++g) {
      float sorted[kMaxExperts];
      const float* from = keys_ + g * size;
      std::partial_sort_copy(from, from + size, sorted, sorted + router_.group_top, std::greater<float>());
      float sum = 0;
      for (int32_t i = 0; i < router_.group_top; ++i) sum += sorted[i];
      ranks[g] = sum;
    }
    int32_t order[kMaxExperts];
    for (int32_t g = 0; g < router_.groups; ++g) order[g] = g;
    std::stable_sort(order, order + router_.groups, [&](int32_t a, int32_t b) { return ranks[a] > ranks[b]; });
    for (int32_t i = router_.top_groups; i < router_.groups; ++i) {
      std::fill_n(keys_ + order[i] * size, size, -INFINITY);
    }
  }

  // A protected pick is one that nothing can outrank.
  void favourResidents() {
    int32_t sacred[kMaxChosen];
    if (router_.protect > 0) kernels_.select(keys_, padded_, router_.protect, sacred);
    for (int32_t e = 0; e < padded_; ++e) keys_[e] += extra_[e];
    for (int32_t i = 0; i < router_.protect; ++i) keys_[sacred[i]] = INFINITY;
  }

  // Writes what `scale` makes weights of: the sigmoids, or logits less the greatest one that the softmax is over.
  void sortAndWeigh(const float* scores, float greatest, int32_t token) {
    int32_t* ids = args_.ids + static_cast<size_t>(token) * router_.top_k;
    float* weights = args_.weights + static_cast<size_t>(token) * router_.top_k;
    float sorted[kMaxChosen];
    for (int32_t i = 0; i < router_.top_k; ++i) {
      const int32_t id = ids[i];
      const float score = cleanScore(scores[id]);
      int32_t at = i;
      for (; at > 0 && (sorted[at - 1] < score || (sorted[at - 1] == score && ids[at - 1] > id)); --at) {
        sorted[at] = sorted[at - 1];
        ids[at] = ids[at - 1];
      }
      sorted[at] = score;
      ids[at] = id;
    }
    // -infinity has a sigmoid and an exponential of 0.
    const float top = router_.sigmoid ? 0 : router_.normalize ? std::max(sorted[0], -FLT_MAX) : cleanScore(greatest);
    for (int32_t i = 0; i < router_.top_k; ++i)
      weights[i] = router_.sigmoid ? std::max(sorted[i], 0.0f) : sorted[i] - top;
  }

  void scale(float* weights, int32_t token) const {
    float sum = 1;
    if (router_.normalize) {
      sum = 0;
      for (int32_t i = 0; i < router_.top_k; ++i) sum += weights[i];
    } else if (!router_.sigmoid) {
      sum = sumOfExponentials(args_.logits + static_cast<size_t>(token) * router_.experts);
    }
    for (int32_t i = 0; i < router_.top_k; ++i) weights[i] = sum > 0 ? weights[i] / sum * router_.weight_scale : 0;
  }

  // 16 sums, experts dealt out in turn, then added in order.
  float sumOfExponentials(const float* logits) const {
    float greatest = -INFINITY;
    for (int32_t e = 0; e < router_.experts; ++e) greatest = std::max(greatest, cleanScore(logits[e]));
    float sums[kRoutingLanes] = {};
    for (int32_t e = 0; e < router_.experts; ++e)
      sums[e % kRoutingLanes] += expOfNonPositive(cleanScore(logits[e]) - greatest);
    float sum = 0;
    for (const float part : sums) sum += part;
    return sum;
  }

  const RoutingKernels& kernels_;
  const RouteArgs& args_;
  const lowbit_router& router_;
  int32_t padded_;
  bool bonus_;   // any resident expert gets one
  bool staged_;  // keys are made in steps
  float bias_[kMaxExperts];
  float extra_[kMaxExperts];  // what is added to the scores at once, or the bonus only
  alignas(64) float keys_[kMaxExperts];
  float sigmoids_[kMaxExperts];
};

}  // namespace

void route(const Kernels& kernels, const RouteArgs& args) {
  check(args.router);
  Router(kernels.routing, args).run();
}

}  // namespace lowbit
