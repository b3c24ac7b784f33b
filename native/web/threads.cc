// The thread pool of base/threads.h where there is one thread.
#include "../base/threads.h"

namespace lowbit {

struct ThreadPool::State {};

ThreadPool::ThreadPool() : state_(nullptr) {}

ThreadPool& ThreadPool::shared() {
  static ThreadPool pool;
  return pool;
}

int ThreadPool::threads() const { return 1; }

void ThreadPool::setThreads(int) {}

ThreadPool::Lease::Lease(ThreadPool& pool) : pool_(pool), held_(false), threads_(1) {}

ThreadPool::Lease::~Lease() = default;

int ThreadPool::Lease::participants() const { return 1; }

void ThreadPool::Lease::dispatch(size_t chunks, int, Task task, void* context) const {
  for (size_t chunk = 0; chunk < chunks; ++chunk) task(context, chunk, 0);
}

}  // namespace lowbit
