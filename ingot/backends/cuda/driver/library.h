// Shared libraries found at run time.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/base/error.h"

namespace ingot::cuda {

/// A loaded shared library, or why there is none. It stays loaded until the process ends.
class Library {
 public:
  /// Tries each file name where the loader looks, then below CUDA_HOME and the usual places of the
  /// toolkit, then in pip's nvidia/*/lib on PYTHONPATH and beside the usual interpreters.
  explicit Library(std::span<const std::string_view> file_names);

  [[nodiscard]] bool loaded() const noexcept { return handle_ != nullptr; }
  /// The path or name it was loaded by, or what the loader said.
  [[nodiscard]] const std::string& detail() const noexcept { return detail_; }
  /// Null when the library has no such function.
  [[nodiscard]] void* symbol(const char* name) const noexcept;
  /// Finds a function; the first that is missing becomes the trouble: "a TITLE without NAME".
  template <typename Function>
  void find(Function& function, const char* name, std::string_view title,
            std::string& trouble) const {
    function = reinterpret_cast<Function>(symbol(name));
    if (function == nullptr && trouble.empty()) trouble = without(title, name);
  }

 private:
  static std::string without(std::string_view title, std::string_view name);

  void* handle_ = nullptr;
  std::string detail_;
};

/// `NAME: must be installed, got TROUBLE`, with how to install pip's package.
Error missing_library(std::string_view name, std::string_view trouble, std::string_view package);

}  // namespace ingot::cuda
