// The thread pool of base/threads.h in WebAssembly. A module knows no threads: the host starts workers, each with an
// instance of its own on the same memory, and each calls `serve` with the number of its slot. While there are none (a
// host without shared memory, workers that are still starting) the caller computes alone.
//
// A worker may be ended by its host at any time, also while it computes. The caller notices that one that has entered a
// job gives no sign of life. It cannot know whether that worker is only late, and will still write to what its chunk
// refers to, the caller's stack included. So the caller traps there, which leaves the memory as it is, and the host
// goes on in a copy of it (src/runtime/wasm-module.ts), in which it makes the call again.
#include "../base/threads.h"

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "host.h"

namespace lowbit {
namespace {

constexpr int kMaxThreads = 64;
constexpr int kSlots = 256;  // of a memory; that of a worker that was lost is not used again
// How often a thread looks before it sleeps: some ten microseconds, the gap between two ops.
constexpr int kSpins = 4000;
// How long a worker may be silent, and twice the time that the caller's own part of the job took.
constexpr double kPatience = 700;  // ms
// Of the time between two looks so much counts at most: where all threads were stopped meanwhile, none was silent.
constexpr double kMostBetweenLooks = 5;  // ms
constexpr int64_t kNanosecondsToSleep = 1000000;

enum Life : uint32_t { kNone, kServing, kLost };

struct alignas(64) Slot {
  std::atomic<uint32_t> life{kNone};
  std::atomic<uint32_t> job{0};   // that it is in, or 0
  std::atomic<uint32_t> done{0};  // chunks, of all jobs
  int participant = 0;            // of the current job; 0: it has no part
};

struct alignas(64) Range {
  std::atomic<size_t> next{0};
  size_t end = 0;
};

Slot slots[kSlots];
std::atomic<int> wanted{1};
std::atomic<int> slotCount{0};          // slots that may be in use
std::atomic<uint32_t> newest{0};        // number of the newest job, by which workers notice it
std::atomic<uint32_t> open{0};          // number of the job that may be entered, or 0
std::atomic<int> sleeping{0};           // workers
std::atomic<bool> waiting{false};       // the caller sleeps
std::atomic<bool> callerSleeps{false};  // whether it may: not on the main thread of a page
std::atomic<bool> stopped{false};
bool abandoned = false;  // the memory

// The job.
Range ranges[kMaxThreads];
int participants = 1;
ThreadPool::Task task = nullptr;
void* context = nullptr;

int32_t* addressOf(std::atomic<uint32_t>& value) { return reinterpret_cast<int32_t*>(&value); }

// A thread takes the chunks of its own range first, then it helps the others. Returns how many it did.
uint32_t work(int participant, Slot* own) {
  uint32_t done = 0;
  for (int i = 0; i < participants; ++i) {
    Range& range = ranges[(participant + i) % participants];
    for (size_t chunk; (chunk = range.next.fetch_add(1, std::memory_order_relaxed)) < range.end; ++done) {
      task(context, chunk, participant);
      if (own) own->done.fetch_add(1);
    }
  }
  return done;
}

int serving() {
  int count = 0;
  for (int s = 0; s < slotCount.load(); ++s) count += slots[s].life.load() == kServing;
  return count;
}

[[noreturn]] void abandon() {
  abandoned = true;
  __builtin_trap();
}

// Waits until a worker has left the job, or has been silent for too long. Returns whether it has left.
bool leaves(Slot& slot, uint32_t job, double patience) {
  uint32_t done = slot.done.load();
  double looked = 0, silent = 0;
  for (int spins = 0; slot.job.load() != 0; ++spins) {
    if (spins < kSpins) continue;
    if (callerSleeps.load()) {
      waiting.store(true);
      __builtin_wasm_memory_atomic_wait32(addressOf(slot.job), static_cast<int32_t>(job), kNanosecondsToSleep);
      waiting.store(false);
    } else {
      spins = 0;
    }
    const double now = lowbit_host_now();
    if (looked == 0 || done != slot.done.load()) {
      done = slot.done.load();
      silent = 0;
    } else {
      silent += std::min(now - looked, kMostBetweenLooks);
      if (silent > patience) return false;
    }
    looked = now;
  }
  return true;
}

}  // namespace

struct ThreadPool::State {};

ThreadPool::ThreadPool() : state_(nullptr) {}

ThreadPool& ThreadPool::shared() {
  static ThreadPool pool;
  return pool;
}

int ThreadPool::threads() const { return wanted.load(); }

void ThreadPool::setThreads(int threads) { wanted.store(std::clamp(threads, 1, kMaxThreads)); }

ThreadPool::Lease::Lease(ThreadPool& pool)
    : pool_(pool), held_(false), threads_(std::min(wanted.load(), 1 + serving())) {}

ThreadPool::Lease::~Lease() = default;

int ThreadPool::Lease::participants() const { return threads_; }

void ThreadPool::Lease::dispatch(size_t chunks, int most, Task body, void* bodyContext) const {
  const int count = slotCount.load();
  // No worker is in a job here, and none enters before the next one is open.
  int joined = 1;
  uint32_t before[kSlots];
  for (int s = 0; s < count; ++s) {
    const bool joins = slots[s].life.load() == kServing && joined < most;
    slots[s].participant = joins ? joined++ : 0;
    before[s] = slots[s].done.load();
  }
  lowbit::task = body;
  lowbit::context = bodyContext;
  lowbit::participants = joined;
  for (int t = 0; t < joined; ++t) {
    ranges[t].next.store(chunks * t / joined, std::memory_order_relaxed);
    ranges[t].end = chunks * (t + 1) / joined;
  }
  const uint32_t job = std::max(newest.load() + 1, uint32_t{1});
  open.store(job);
  newest.store(job);
  if (sleeping.load() > 0) __builtin_wasm_memory_atomic_notify(addressOf(newest), kMaxThreads);
  const double start = lowbit_host_now();
  uint32_t done = work(0, nullptr);
  const double patience = kPatience + 2 * (lowbit_host_now() - start);
  open.store(0);
  for (int s = 0; s < count; ++s) {
    if (slots[s].life.load() == kLost && slots[s].participant == 0) continue;
    if (!leaves(slots[s], job, patience)) abandon();
    done += slots[s].done.load() - before[s];
  }
  // What one that died has left half done may not be done again: a chunk may read what it writes.
  if (done != chunks) abandon();
}

}  // namespace lowbit

#define LOWBIT_EXPORT(name) __attribute__((export_name(name)))

extern "C" {

// What a worker does until it is told to stop.
LOWBIT_EXPORT("serve") void lowbit_web_serve(int number) {
  using namespace lowbit;
  Slot& slot = slots[number];
  slot.life.store(kServing);
  uint32_t seen = 0;
  for (;;) {
    for (int spins = 0; newest.load() == seen && !stopped.load();) {
      if (++spins < kSpins) continue;
      sleeping.fetch_add(1);
      __builtin_wasm_memory_atomic_wait32(addressOf(newest), static_cast<int32_t>(seen), -1);
      sleeping.fetch_sub(1);
    }
    seen = newest.load();
    if (stopped.load()) return;
    slot.job.store(seen);
    if (open.load() == seen && slot.participant > 0) work(slot.participant, &slot);
    slot.job.store(0);
    if (waiting.load()) __builtin_wasm_memory_atomic_notify(addressOf(slot.job), 1);
  }
}

// The slot of a worker that is about to be started, or -1 where there is none left. `callerSleeps`: whether the calling
// thread may wait.
LOWBIT_EXPORT("takeSlot") int lowbit_web_take_slot(int callerSleeps) {
  lowbit::callerSleeps.store(callerSleeps != 0);
  return lowbit::slotCount.load() < lowbit::kSlots ? lowbit::slotCount.fetch_add(1) : -1;
}

// 0: a worker has not started yet. 1: it serves. 2: it was lost.
LOWBIT_EXPORT("life") int lowbit_web_life(int slot) { return static_cast<int>(lowbit::slots[slot].life.load()); }

// Its host says that a worker has ended, inside of a job or not.
LOWBIT_EXPORT("lose") void lowbit_web_lose(int slot) {
  lowbit::slots[slot].life.store(lowbit::kLost);
  lowbit::slots[slot].job.store(0);
}

// Whether the trap that a call ended with says that the memory has been left to a worker.
LOWBIT_EXPORT("abandoned") int lowbit_web_abandoned(void) { return lowbit::abandoned; }

// In the copy of an abandoned memory, of which no worker knows.
LOWBIT_EXPORT("moved") void lowbit_web_moved(void) {
  using namespace lowbit;
  for (int s = 0; s < slotCount.load(); ++s) {
    slots[s].life.store(kNone);
    slots[s].job.store(0);
  }
  slotCount.store(0);
  open.store(0);
  sleeping.store(0);
  waiting.store(false);
  abandoned = false;
}

LOWBIT_EXPORT("stop") void lowbit_web_stop(void) {
  lowbit::stopped.store(true);
  // Workers see that it has changed, and then that they have to stop.
  lowbit::newest.fetch_add(1);
  __builtin_wasm_memory_atomic_notify(lowbit::addressOf(lowbit::newest), lowbit::kSlots);
}

}  // extern "C"
