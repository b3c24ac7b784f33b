// What else the engine and the C++ runtime ask of a system: the time, which the host tells, and an end.
#include <chrono>
#include <cstdlib>

#include <__verbose_abort>

#include "host.h"

extern "C" {

// There is no environment: the host names the instruction set.
char* getenv(const char*) { return nullptr; }

// A module has no end at which statics are destroyed.
int __cxa_atexit(void (*)(void*), void*, void*) { return 0; }
void* __dso_handle = nullptr;

void abort(void) { __builtin_trap(); }

// Of libc++abi.
__attribute__((visibility("hidden"))) void __abort_message(const char*, ...) { __builtin_trap(); }

}  // extern "C"

namespace std {
inline namespace __1 {
void __libcpp_verbose_abort(const char*, ...) noexcept { __builtin_trap(); }

chrono::steady_clock::time_point chrono::steady_clock::now() noexcept {
  return time_point(duration(static_cast<rep>(lowbit_host_now() * 1e6)));
}
}  // namespace __1
}  // namespace std
