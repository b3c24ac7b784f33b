#pragma once
#include <cstdint>

namespace lowbit {

// a / b rounded up, for b > 0 and a > -b. Static: a copy compiled for one instruction set must not serve another.
static constexpr int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace lowbit
