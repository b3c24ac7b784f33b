#include "probe.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include "../isa/probe.h"
#include "../base/threads.h"

namespace lowbit {
namespace {

constexpr uint64_t kRounds = 1 << 16;
// Beyond the first level of cache, well within the second.
constexpr size_t kL2Bytes = 256 << 10;
constexpr int kL2Passes = 64;
// Several times the last level of cache.
constexpr size_t kDramBytes = 256 << 20;
constexpr int kTrials = 7;
constexpr int kDramTrials = 3;

// Where results go, so that computing them cannot be left out.
std::atomic<int32_t> sink;

// Seconds of the fastest of some trials, each running `body(thread index)` on every thread.
template <class Body>
double fastest(const ThreadPool::Lease& pool, int trials, Body&& body) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9;
  for (int trial = 0; trial < trials; ++trial) {
    const Clock::time_point start = Clock::now();
    pool.parallelFor(static_cast<size_t>(pool.threads()),
                     [&](size_t chunk, int) { sink.fetch_add(body(chunk), std::memory_order_relaxed); });
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace

MachineLimits measureLimits(const Kernels& kernels) {
  const Probe& probe = kernels.probe;
  const ThreadPool::Lease pool(ThreadPool::shared());
  const size_t threads = static_cast<size_t>(pool.threads());
  const size_t share = kDramBytes / threads / 256 * 256;
  // Not zeros: pages of zeros that were never written are all the same page.
  std::vector<uint8_t> storage(share * threads + 64, 1);
  uint8_t* data = storage.data() + (64 - reinterpret_cast<uintptr_t>(storage.data()) % 64) % 64;

  const double multiplying = fastest(pool, kTrials, [&](size_t) { return probe.multiply(data, kRounds); });
  const double l2 = fastest(pool, kTrials, [&](size_t thread) {
    uint32_t sum = 0;
    for (int pass = 0; pass < kL2Passes; ++pass) {
      sum += static_cast<uint32_t>(probe.read(data + thread * share, kL2Bytes));
    }
    return static_cast<int32_t>(sum);
  });
  const double dram =
      fastest(pool, kDramTrials, [&](size_t thread) { return probe.read(data + thread * share, share); });
  const double l2Stores = fastest(pool, kTrials, [&](size_t thread) {
    for (int pass = 0; pass < kL2Passes; ++pass) probe.store(data + thread * share, kL2Bytes);
    return 0;
  });
  const double dramStores = fastest(pool, kDramTrials, [&](size_t thread) {
    probe.stream(data + thread * share, share);
    return 0;
  });
  const double all = static_cast<double>(threads);
  return {all * static_cast<double>(kRounds * probe.macs) / multiplying,
          all * static_cast<double>(kL2Passes * kL2Bytes) / l2, static_cast<double>(share * threads) / dram,
          all * static_cast<double>(kL2Passes * kL2Bytes) / l2Stores,
          static_cast<double>(share * threads) / dramStores};
}

}  // namespace lowbit
