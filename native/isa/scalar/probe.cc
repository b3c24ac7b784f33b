#include <cstring>

#include "../vector-probe.h"
#include "kernels.h"

namespace lowbit {
namespace scalar {
namespace {

struct Words {
  using Vector = uint32_t;  // sums wrap
  static constexpr int bytes = 4;
  static constexpr int macs = 1;
  static constexpr int rows = 2;
  static constexpr int columns = 4;
  static Vector zero() { return 0; }
  static Vector load(const uint8_t* p) {
    Vector word;
    std::memcpy(&word, p, sizeof word);
    return word;
  }
  static void store(uint8_t* p, Vector v) { std::memcpy(p, &v, sizeof v); }
  static void stream(uint8_t* p, Vector v) { store(p, v); }
  static Vector multiplyAdd(Vector sum, Vector a, Vector b) { return sum + a * b; }
  static Vector add(Vector a, Vector b) { return a + b; }
  static int32_t sum(Vector v) { return static_cast<int32_t>(v); }
};

}  // namespace

void setProbe(Kernels& table) { ProbeLoops<Words>::set(table); }

}  // namespace scalar
}  // namespace lowbit
