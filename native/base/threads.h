// The thread pool of the process. A run leases it as a whole; a run that finds it leased (another worker_thread is
// running) works on its own thread alone, and the run that holds the pool uses one fewer helper meanwhile, so that all
// runs together use no more threads than configured. Which thread computes a chunk never changes the
// result.
#pragma once
#include <cstddef>
#include <type_traits>

namespace lowbit {

class ThreadPool {
 public:
  static ThreadPool& shared();

  using Task = void (*)(void* context, size_t chunk, int thread);

  int threads() const;
  void setThreads(int threads);

  // Holds the pool for the time of a run; `threads()` is 1 where the pool was taken.
  class Lease {
   public:
    explicit Lease(ThreadPool& pool);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    int threads() const { return threads_; }

    // Calls body(chunk, thread) for every chunk; returns when all are done. The body must not throw.
    template <class Body>
    void parallelFor(size_t chunks, Body&& body) const {
      using Function = std::remove_reference_t<Body>;
      const int participants = threads_ == 1 ? 1 : this->participants();
      if (participants == 1 || chunks < 2) {
        for (size_t chunk = 0; chunk < chunks; ++chunk) body(chunk, 0);
        return;
      }
      dispatch(
          chunks, participants,
          [](void* context, size_t chunk, int thread) { (*static_cast<Function*>(context))(chunk, thread); },
          const_cast<void*>(static_cast<const void*>(&body)));
    }

   private:
    int participants() const;
    void dispatch(size_t chunks, int participants, Task task, void* context) const;

    ThreadPool& pool_;
    bool held_;
    int threads_;
  };

 private:
  ThreadPool();
  struct State;
  State* state_;  // never freed: detached threads may outlive every static
};

}  // namespace lowbit
