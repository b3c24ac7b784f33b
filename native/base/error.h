// Errors inside the engine: thrown anywhere, turned into a lowbit_error at the C ABI.
#pragma once
#include <cstdarg>
#include <cstdio>
#include <string>

#include "../include/lowbit.h"

namespace lowbit {

struct Error {
  lowbit_code code;
  std::string message;
};

[[noreturn]] inline void fail(lowbit_code code, const char* format, ...) __attribute__((format(printf, 2, 3)));

[[noreturn]] inline void fail(lowbit_code code, const char* format, ...) {
  char message[sizeof(lowbit_error::message)];
  va_list args;
  va_start(args, format);
  std::vsnprintf(message, sizeof message, format, args);
  va_end(args);
  throw Error{code, message};
}

}  // namespace lowbit
