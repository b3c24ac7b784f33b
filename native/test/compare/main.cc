// Compares every kernel of every instruction set of this machine with the scalar one, bit for bit, on drawn cases.
//
//   compare-kernels [seed [cases]]
//
// Prints the seed and the fastest set; exits with 1 at the first difference. Shapes lie around the widths of vectors
// and tiles, values are often extremes, rounding ties, infinities and NaN.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "../../isa/registry.h"
#include "families.h"

namespace lowbit {
namespace compare {
namespace {

// A kernel that no set has given would be called as a null pointer.
void checkComplete(const RegisteredSet& set) {
  static_assert(sizeof(Kernels) % sizeof(void*) == 0, "a table consists of pointers");
  for (size_t at = 0; at < sizeof(Kernels); at += sizeof(void*)) {
    void* entry;
    std::memcpy(&entry, reinterpret_cast<const char*>(&set.kernels) + at, sizeof entry);
    if (!entry) fail("a kernel is missing from the table", set.name + text(": entry", at / sizeof entry));
  }
}

void compareSet(const RegisteredSet& set, uint64_t seed, int cases) {
  for (int i = 0; i < cases; ++i) {
    Random random(seed, i);
    const std::string name = std::string(set.name) + text("case", i) + ":";
    for (const auto compareFamily : {compareGemm, compareLowBitProduct, compareDepthwise, compareElementWise,
                                     comparePools, compareRows, compareRouting, compareInt16, compareDynamic}) {
      compareFamily(set.kernels, random, name);
    }
  }
  std::printf("%s equals scalar in %d cases of every kernel\n", set.name, cases);
}

}  // namespace
}  // namespace compare
}  // namespace lowbit

int main(int argc, char** argv) {
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : std::random_device()();
  const int cases = argc > 2 ? std::atoi(argv[2]) : 300;
  std::printf("seed %llu\ndispatch picks %s\n", static_cast<unsigned long long>(seed),
              lowbit::selectKernels(nullptr)->name);
  for (const lowbit::RegisteredSet& set : lowbit::instructionSets()) {
    if (!set.supported) continue;
    lowbit::compare::checkComplete(set);
    if (std::strcmp(set.name, "scalar") != 0) lowbit::compare::compareSet(set, seed, cases);
  }
  return 0;
}
