// How much memory the engine may take for a program that is run on some input shapes.
#pragma once
#include <cstddef>

namespace lowbit {

// In bytes. Default: half of the memory of the machine, or of the control group of the process if that has less.
size_t maxMemory();
void setMaxMemory(size_t bytes);

}  // namespace lowbit
