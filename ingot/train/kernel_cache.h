// The file in which the choices of --tune outlive a process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "ingot/runtime/backend.h"

namespace ingot::train {

/// `kernels.json` in INGOT_TUNE_DIR, else in the user's folder for caches; empty without either.
std::filesystem::path kernel_cache_file();

class KernelCache {
 public:
  /// Reads the file, unless nothing is tuned. One that holds no choices is a warning; save() writes
  /// it anew. Errors (invalid_argument): a device whose kernels are not chosen by timing.
  KernelCache(Tune tune, const std::string& device,
              std::filesystem::path file = kernel_cache_file());

  /// For a backend that chooses so.
  [[nodiscard]] BackendOptions backend_options(int threads) const;
  /// Adds what was chosen since to the file, beside what other processes wrote there. When that
  /// fails it is a warning.
  void save();
  /// Choices that no earlier run had made.
  [[nodiscard]] std::int64_t made() const { return choices_->changes(); }
  /// One line each.
  [[nodiscard]] const std::vector<std::string>& warnings() const noexcept { return warnings_; }

 private:
  Tune tune_;
  std::filesystem::path file_;
  std::shared_ptr<KernelChoices> choices_;
  std::int64_t saved_changes_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace ingot::train
