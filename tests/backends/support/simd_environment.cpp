// INGOT_SIMD holds for tests that call SIMD functions without a backend, too.
#include <gtest/gtest.h>

#include "ingot/backends/cpu/cpu_machine.h"

namespace ingot {
namespace {

class SimdEnvironment : public testing::Environment {
 public:
  void SetUp() override { limit_simd(); }
};

const testing::Environment* const environment =
    testing::AddGlobalTestEnvironment(new SimdEnvironment);

}  // namespace
}  // namespace ingot
