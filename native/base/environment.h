#pragma once
#include <string>

namespace lowbit {

// Of an environment variable; empty where it is not set. What JavaScript sets in process.env counts.
std::string environmentVariable(const char* name);

}  // namespace lowbit
