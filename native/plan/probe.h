// The limits of the machine: what every layer's time is compared with.
#pragma once
#include "../isa/kernels.h"

namespace lowbit {

struct MachineLimits {
  double macsPerSecond;        // int8 multiply-accumulates
  double l2BytesPerSecond;     // read
  double dramBytesPerSecond;   // read
  double l2StoresPerSecond;    // bytes written
  double dramStoresPerSecond;  // bytes written past the caches
};

// Measures for about a quarter of a second, with the threads of the pool. Throws std::bad_alloc.
MachineLimits measureLimits(const Kernels& kernels);

}  // namespace lowbit
