// The scalar results of the last steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ingot {

/// A ring of fixed size: writing never waits and never allocates; when nobody reads, the oldest
/// entries give way and are counted.
class StepRing {
 public:
  struct Entry {
    std::int64_t step = 0;           ///< counted by the Executable, from 0
    std::span<const double> values;  ///< one a name, in the order of names()
  };

  StepRing(std::vector<std::string> names, std::size_t capacity);

  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
  /// Position of a name in an entry's values; -1 when there is none.
  [[nodiscard]] int index_of(std::string_view name) const noexcept;
  /// The oldest unread entry, valid until the next step; nothing when all were read.
  std::optional<Entry> pop();
  /// The newest entry, read or not.
  [[nodiscard]] std::optional<Entry> newest() const;
  /// Entries that were overwritten unread.
  [[nodiscard]] std::int64_t dropped() const noexcept { return dropped_; }

  /// For the engine: the place for the next step's values.
  std::span<double> push(std::int64_t step) noexcept;

 private:
  [[nodiscard]] Entry at(std::int64_t position) const;

  std::vector<std::string> names_;
  std::size_t capacity_;
  std::vector<double> values_;
  std::vector<std::int64_t> steps_;
  std::int64_t written_ = 0;
  std::int64_t read_ = 0;
  std::int64_t dropped_ = 0;
};

}  // namespace ingot
