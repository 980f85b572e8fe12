#include "ingot/engine/step_ring.h"

#include <algorithm>
#include <utility>

namespace ingot {

StepRing::StepRing(std::vector<std::string> names, std::size_t capacity)
    : names_(std::move(names)),
      capacity_(std::max<std::size_t>(capacity, 1)),
      values_(capacity_ * names_.size()),
      steps_(capacity_) {}

int StepRing::index_of(std::string_view name) const noexcept {
  const auto it = std::find(names_.begin(), names_.end(), name);
  return it == names_.end() ? -1 : static_cast<int>(it - names_.begin());
}

StepRing::Entry StepRing::at(std::int64_t position) const {
  const std::size_t slot = static_cast<std::size_t>(position) % capacity_;
  return {steps_[slot], std::span(values_).subspan(slot * names_.size(), names_.size())};
}

std::optional<StepRing::Entry> StepRing::pop() {
  if (read_ == written_) return std::nullopt;
  return at(read_++);
}

std::optional<StepRing::Entry> StepRing::newest() const {
  if (written_ == 0) return std::nullopt;
  return at(written_ - 1);
}

std::span<double> StepRing::push(std::int64_t step) noexcept {
  const std::size_t slot = static_cast<std::size_t>(written_) % capacity_;
  ++written_;
  if (written_ - read_ > static_cast<std::int64_t>(capacity_)) {
    ++read_;
    ++dropped_;
  }
  steps_[slot] = step;
  return std::span(values_).subspan(slot * names_.size(), names_.size());
}

}  // namespace ingot
