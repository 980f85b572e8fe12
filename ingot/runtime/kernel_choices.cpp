#include "ingot/runtime/kernel_choices.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "ingot/base/error.h"

namespace ingot {
namespace {

constexpr std::array<std::string_view, 3> kTuneNames{"off", "quick", "full"};

}  // namespace

std::string_view tune_name(Tune tune) noexcept {
  return kTuneNames[static_cast<std::size_t>(tune)];
}

Tune parse_tune(std::string_view name) {
  const auto it = std::ranges::find(kTuneNames, name);
  if (it != kTuneNames.end()) return static_cast<Tune>(it - kTuneNames.begin());
  throw user_error(
      ErrorCode::invalid_argument,
      fmt::format("tune \"{}\": must be \"off\", \"quick\" or \"full\", got no such name", name));
}

std::optional<std::string> KernelChoices::find(const std::string& problem) const {
  const std::lock_guard lock(mutex_);
  const auto it = kernels_.find(problem);
  return it == kernels_.end() ? std::nullopt : std::optional(it->second);
}

void KernelChoices::set(const std::string& problem, std::string_view kernel) {
  const std::lock_guard lock(mutex_);
  kernels_.insert_or_assign(problem, std::string(kernel));
  ++changes_;
}

KernelChoices::Map KernelChoices::all() const {
  const std::lock_guard lock(mutex_);
  return kernels_;
}

std::int64_t KernelChoices::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

}  // namespace ingot
