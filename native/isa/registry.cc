#include "registry.h"

#include <algorithm>
#include <cstring>

#include "instruction-set.h"

// scripts/compile-native.js writes instruction-sets.inc: LOWBIT_BUILT(folder, emulated) for each set that it compiles,
// LOWBIT_LEFT_OUT("folder", "flags") for each that the compiler does not know the flags of.
#define LOWBIT_LEFT_OUT(name, flags)
#define LOWBIT_BUILT(folder, emulated)     \
  namespace lowbit {                       \
  namespace folder {                       \
  extern const InstructionSet description; \
  }                                        \
  }
#include <instruction-sets.inc>
#undef LOWBIT_BUILT
#undef LOWBIT_LEFT_OUT

namespace lowbit {
namespace {

struct Built {
  const InstructionSet* set;
  bool emulated;  // runs on every machine
};

#define LOWBIT_LEFT_OUT(name, flags)
#define LOWBIT_BUILT(folder, emulated) {&folder::description, emulated},
constexpr Built kBuilt[] = {
#include <instruction-sets.inc>
};
#undef LOWBIT_BUILT
#undef LOWBIT_LEFT_OUT

struct LeftOut {
  const char* name;
  const char* flags;
};

#define LOWBIT_LEFT_OUT(name, flags) {name, flags},
#define LOWBIT_BUILT(folder, emulated)
constexpr LeftOut kLeftOut[] = {
#include <instruction-sets.inc>
    {nullptr, nullptr},
};
#undef LOWBIT_BUILT
#undef LOWBIT_LEFT_OUT

const Built* find(const char* name) {
  const auto hasName = [name](const Built& built) { return std::strcmp(built.set->name, name) == 0; };
  const Built* found = std::find_if(std::begin(kBuilt), std::end(kBuilt), hasName);
  return found == std::end(kBuilt) ? nullptr : found;
}

bool isSupported(const Built* built) {
  if (!built || !(built->emulated || built->set->isSupported())) return false;
  return !built->set->base || isSupported(find(built->set->base));
}

void setKernels(const Built& built, Kernels& table) {
  if (built.set->base) setKernels(*find(built.set->base), table);
  built.set->setKernels(table);
}

std::vector<RegisteredSet> registerSets() {
  std::vector<RegisteredSet> sets;
  for (const Built& built : kBuilt) {
    RegisteredSet set{built.set->name, built.set->rank, isSupported(&built), Kernels{}};
    if (set.supported) setKernels(built, set.kernels);
    set.kernels.name = set.name;
    sets.push_back(set);
  }
  std::sort(sets.begin(), sets.end(), [](const RegisteredSet& a, const RegisteredSet& b) { return a.rank < b.rank; });
  return sets;
}

}  // namespace

const std::vector<RegisteredSet>& instructionSets() {
  static const std::vector<RegisteredSet> sets = registerSets();
  return sets;
}

const Kernels* selectKernels(const char* name) {
  const bool chosen = name != nullptr && *name != '\0';
  const Kernels* kernels = nullptr;
  for (const RegisteredSet& set : instructionSets()) {
    if (set.supported && (!chosen || std::strcmp(set.name, name) == 0)) kernels = &set.kernels;
  }
  return kernels;
}

std::string whyUnavailable(const char* name) {
  std::string reason = find(name) ? "this machine does not have it" : "there is no such instruction set";
  for (const LeftOut& set : kLeftOut) {
    if (set.name && std::strcmp(set.name, name) == 0) {
      reason = std::string("the compiler that built the engine does not know ") + set.flags;
    }
  }
  std::string available;
  for (const RegisteredSet& set : instructionSets()) {
    if (set.supported) available += (available.empty() ? "" : ", ") + std::string(set.name);
  }
  return reason + "; available: " + available;
}

}  // namespace lowbit
