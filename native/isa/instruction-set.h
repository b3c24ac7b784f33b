// An instruction set is a folder here with a description.cc, which defines `description` in the namespace of the
// folder's name, and a build.json: the architecture and the compiler's flags. The build lists the folders it compiles.
#pragma once
#include "kernels.h"

namespace lowbit {

struct InstructionSet {
  const char* name;  // as LOWBIT_ISA names it: the folder
  // The set whose kernels serve where this one has none of its own; null for scalar, the definition. A machine that
  // has this set has that one too.
  const char* base;
  // Of the sets that a machine has, the one of the highest rank is the fastest.
  int rank;
  // Whether processor and operating system have what the set needs beyond its base. description.cc is compiled without
  // the set's flags, so that this runs on every machine.
  bool (*isSupported)();
  // Puts the kernels into a table that the base has filled.
  void (*setKernels)(Kernels& table);
};

}  // namespace lowbit
