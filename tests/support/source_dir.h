// Where the repository lies, for tests that need more of it than their binary.
#pragma once

#include <filesystem>

namespace ingot::testing_support {

/// The nearest folder around the current one that is Ingot's source tree; empty when there is none.
inline std::filesystem::path source_dir() {
  for (auto folder = std::filesystem::current_path();; folder = folder.parent_path()) {
    if (std::filesystem::exists(folder / "tests" / "support" / "source_dir.h")) return folder;
    if (folder == folder.parent_path()) return {};
  }
}

}  // namespace ingot::testing_support
