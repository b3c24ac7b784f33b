#include "environment.h"

#include <cstdlib>

#if defined(_WIN32)
#include <windows.h>
#endif

namespace lowbit {

std::string environmentVariable(const char* name) {
#if defined(_WIN32)
  // The C library would tell what was there when it was loaded.
  char value[256];
  const DWORD size = GetEnvironmentVariableA(name, value, sizeof value);
  return size < sizeof value ? std::string(value, size) : std::string();
#else
  const char* value = std::getenv(name);
  return value ? value : "";
#endif
}

}  // namespace lowbit
