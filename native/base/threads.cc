#include "threads.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#include <windows.h>
#endif

#include "environment.h"

namespace lowbit {
namespace {

constexpr int kMaxThreads = 256;
constexpr uint32_t kClosed = 1u << 31;
// How often an idle thread looks for work before it sleeps: some ten microseconds, the gap between two ops.
constexpr int kSpins = 2000;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Physical cores that this process may use; logical ones where the system does not report them.
int physicalCores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    std::set<std::string> siblings;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &allowed)) continue;
      char path[96];
      std::snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
      char list[64] = "";
      if (FILE* file = std::fopen(path, "r")) {
        if (!std::fgets(list, sizeof list, file)) list[0] = '\0';
        std::fclose(file);
      }
      siblings.insert(list[0] ? std::string(list) : std::to_string(cpu));
    }
    cores = static_cast<int>(siblings.size());
  }
#elif defined(__APPLE__)
  int count = 0;
  size_t size = sizeof count;
  if (sysctlbyname("hw.physicalcpu", &count, &size, nullptr, 0) == 0) cores = count;
#elif defined(_WIN32)
  DWORD_PTR allowed = 0, present = 0;
  DWORD bytes = 0;
  GetLogicalProcessorInformation(nullptr, &bytes);
  std::vector<SYSTEM_LOGICAL_PROCESSOR_INFORMATION> processors(bytes / sizeof(SYSTEM_LOGICAL_PROCESSOR_INFORMATION));
  if (GetProcessAffinityMask(GetCurrentProcess(), &allowed, &present) && !processors.empty() &&
      GetLogicalProcessorInformation(processors.data(), &bytes)) {
    const auto isAllowedCore = [&](const SYSTEM_LOGICAL_PROCESSOR_INFORMATION& entry) {
      return entry.Relationship == RelationProcessorCore && (entry.ProcessorMask & allowed) != 0;
    };
    cores = static_cast<int>(std::count_if(processors.begin(), processors.end(), isAllowedCore));
  }
#endif
  return std::clamp(cores, 1, kMaxThreads);
}

int defaultThreads() {
  const int wanted = std::atoi(environmentVariable("LOWBIT_NUM_THREADS").c_str());
  return wanted > 0 ? std::min(wanted, kMaxThreads) : physicalCores();
}

}  // namespace

struct ThreadPool::State {
  std::mutex lease;
  std::atomic<int> wanted{defaultThreads()};
  std::atomic<int> runs{0};  // under way, with the pool or without
  int started = 1;           // the calling thread counts; guarded by `lease`

  // One job at a time, in the fields at the end. A helper enters through the gate, which counts those inside and
  // carries a closed bit: the caller opens it when the fields are set and closes it when the chunks are gone, and then
  // waits for those inside alone. A helper that the system has not woken in time is not waited for.
  std::mutex sleep;
  std::condition_variable wake;
  std::atomic<uint64_t> job{0};  // its number, by which helpers notice a new one
  std::atomic<uint32_t> gate{kClosed};
  struct alignas(64) Range {
    std::atomic<size_t> next{0};
    size_t end = 0;
  };
  Range ranges[kMaxThreads];
  int participants = 0;
  Task task = nullptr;
  void* context = nullptr;

  // A thread takes the chunks of its own range first: those that lie beside the ones it had in the op before, whose
  // results are in its core's cache. Then it helps the others.
  void work(int thread) {
    for (int i = 0; i < participants; ++i) {
      Range& range = ranges[(thread + i) % participants];
      for (size_t chunk; (chunk = range.next.fetch_add(1, std::memory_order_relaxed)) < range.end;) {
        task(context, chunk, thread);
      }
    }
  }

  void helper(int thread) {
    uint64_t seen = 0;
    for (;;) {
      int spins = 0;
      while (job.load(std::memory_order_acquire) == seen) {
        if (++spins < kSpins) {
          pause();
          continue;
        }
        std::unique_lock<std::mutex> lock(sleep);
        wake.wait(lock, [&] { return job.load(std::memory_order_acquire) != seen; });
      }
      seen = job.load(std::memory_order_acquire);
      if (!(gate.fetch_add(1, std::memory_order_acq_rel) & kClosed) && thread < participants) work(thread);
      gate.fetch_sub(1, std::memory_order_release);
    }
  }

  // Returns how many threads there are; fewer than wanted where the system refuses to start one.
  int start() {
    const int count = wanted.load();
    try {
      for (; started < count; ++started) std::thread(&State::helper, this, started).detach();
    } catch (const std::exception&) {
    }
    return std::min(started, count);
  }
};

ThreadPool::ThreadPool() : state_(new State) {}

ThreadPool& ThreadPool::shared() {
  static ThreadPool* pool = new ThreadPool;
  return *pool;
}

int ThreadPool::threads() const { return state_->wanted.load(); }

void ThreadPool::setThreads(int threads) { state_->wanted = std::clamp(threads, 1, kMaxThreads); }

ThreadPool::Lease::Lease(ThreadPool& pool)
    : pool_(pool), held_(pool.threads() > 1 && pool.state_->lease.try_lock()), threads_(1) {
  pool.state_->runs.fetch_add(1, std::memory_order_relaxed);
  if (held_) threads_ = pool.state_->start();
}

ThreadPool::Lease::~Lease() {
  pool_.state_->runs.fetch_sub(1, std::memory_order_relaxed);
  if (held_) pool_.state_->lease.unlock();
}

int ThreadPool::Lease::participants() const {
  return std::max(1, threads_ + 1 - pool_.state_->runs.load(std::memory_order_relaxed));
}

void ThreadPool::Lease::dispatch(size_t chunks, int participants, Task task, void* context) const {
  State& state = *pool_.state_;
  state.task = task;
  state.context = context;
  state.participants = participants;
  for (int t = 0; t < participants; ++t) {
    state.ranges[t].next.store(chunks * t / participants, std::memory_order_relaxed);
    state.ranges[t].end = chunks * (t + 1) / participants;
  }
  state.gate.fetch_and(~kClosed, std::memory_order_release);
  {
    std::lock_guard<std::mutex> lock(state.sleep);
    state.job.fetch_add(1, std::memory_order_release);
  }
  state.wake.notify_all();
  state.work(0);
  state.gate.fetch_or(kClosed, std::memory_order_acq_rel);
  for (int spins = 0; state.gate.load(std::memory_order_acquire) != kClosed; ++spins) {
    if (spins < kSpins) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace lowbit
