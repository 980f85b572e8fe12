// Which of several kernels runs a problem, as timing found it.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace ingot {

/// How kernels are chosen: by rules alone, or by timing those that can run a problem, for a moment
/// or thoroughly.
enum class Tune : std::uint8_t { off, quick, full };

std::string_view tune_name(Tune tune) noexcept;
/// Errors (invalid_argument): no such name.
Tune parse_tune(std::string_view name);

/// Problem, in a backend's words, to the name of a kernel. Thread safe.
class KernelChoices {
 public:
  using Map = std::map<std::string, std::string>;

  KernelChoices() = default;
  explicit KernelChoices(Map known) : kernels_(std::move(known)) {}

  [[nodiscard]] std::optional<std::string> find(const std::string& problem) const;
  void set(const std::string& problem, std::string_view kernel);
  [[nodiscard]] Map all() const;
  /// Calls of set() so far.
  [[nodiscard]] std::int64_t changes() const;

 private:
  mutable std::mutex mutex_;
  Map kernels_;
  std::int64_t changes_ = 0;
};

}  // namespace ingot
