// What tests of whole steps on a GPU share: a real one or the emulated one (tests/emulator).
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/engine/executable.h"
#include "ingot/runtime/backend.h"

namespace ingot::testing_support {

/// Whether the GPU is the processor in disguise, on which large steps take hours.
inline bool is_emulated(const Backend& backend) {
  for (const auto& [what, value] : backend.facts()) {
    if (what == "gpu" && value == "emulated GPU") return true;
  }
  return false;
}

/// Skips without a GPU.
class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    try {
      backend_ = make_backend("cuda");
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::unsupported) throw;
      GTEST_SKIP() << error.message();
    }
  }
  std::shared_ptr<Backend> backend_;
};

/// Empties the ring.
inline std::vector<double> losses_of(Executable& exe) {
  std::vector<double> losses;
  const auto at = static_cast<std::size_t>(exe.losses().index_of("loss"));
  while (const auto entry = exe.losses().pop()) losses.push_back(entry->values[at]);
  return losses;
}

}  // namespace ingot::testing_support
