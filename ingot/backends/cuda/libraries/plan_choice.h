// A library's plans: what they have in common, the fastest of several, and those that are known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "ingot/base/function_ref.h"
#include "ingot/runtime/kernel_choices.h"

namespace ingot::cuda {

/// A way to do a piece of work, ready to be put on a stream.
class PlannedCall {
 public:
  PlannedCall() = default;
  virtual ~PlannedCall() = default;
  PlannedCall(const PlannedCall&) = delete;
  PlannedCall& operator=(const PlannedCall&) = delete;

  /// Names it for this version of its library.
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
  [[nodiscard]] virtual std::int64_t workspace_bytes() const noexcept = 0;
};

/// What was found for each problem, or why there is nothing. Thread safe.
template <typename Call>
class KnownCalls {
 public:
  /// `search(why)` gives the call, or null and why, when the problem is new.
  template <typename Search>
  std::shared_ptr<const Call> find(const std::string& problem, std::string& why, Search&& search) {
    const std::lock_guard lock(mutex_);
    const auto [it, fresh] = known_.try_emplace(problem);
    if (fresh) {
      it->second.call = search(it->second.why);
      if (it->second.call != nullptr) it->second.why.clear();
    }
    why = it->second.why;
    return it->second.call;
  }

 private:
  struct Found {
    std::shared_ptr<const Call> call;
    std::string why;
  };

  std::mutex mutex_;
  std::unordered_map<std::string, Found> known_;
};

/// Says on the dispatch trace what runs a problem.
void trace_plan(std::string_view problem, const PlannedCall& call);

/// Position of the fastest of `names`, best expected first: another than the first must be clearly
/// faster. `seconds(position, repeats)` times one. Each time goes to the dispatch trace.
std::size_t fastest(std::string_view problem, std::span<const std::string> names, Tune tune,
                    FunctionRef<double(std::size_t, int)> seconds);

}  // namespace ingot::cuda
