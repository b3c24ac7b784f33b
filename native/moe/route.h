// Routing of tokens to the experts of a mixture-of-experts layer.
#pragma once
#include <cstdint>

#include "../include/lowbit.h"
#include "../isa/kernels.h"

namespace lowbit {

// Of `logits` [tokens, experts], the `top_k` experts of every token and their gate weights.
//
// The score of an expert is its logit, or with `sigmoid` the sigmoid of it; NaN counts as -infinity. Experts are chosen
// by score + bias + bonus where resident (Skliar et al. 2025, "Mixture of Cache-Conditional Experts"), of equal ones
// the one with the lowest number; the first `protect` by score + bias alone. With groups, experts are chosen from the
// `top_groups` groups with the greatest sum of their `group_top` greatest score + bias (DeepSeek-V3, section 2.1.2).
//
// Weights come from the scores alone: softmax of the logits over all experts, or the sigmoid; with `normalize` divided
// by the sum over the chosen ones; times `weight_scale`. Experts are listed with falling score, equal ones by number.
struct RouteArgs {
  const float* logits;
  const float* bias;        // [experts] or null
  const int32_t* resident;  // [experts], not 0 where resident, or null
  int32_t tokens;
  lowbit_router router;
  int32_t* ids;    // [tokens, topK]
  float* weights;  // [tokens, topK]
  // Unless null: the mean over the tokens of the greatest score less the least, -infinities left out.
  float* meanRange;
};

constexpr int32_t kMaxChosen = 16;

// Throws Error for arguments out of range, and for a token that has no score above -infinity.
void route(const Kernels& kernels, const RouteArgs& args);

}  // namespace lowbit
