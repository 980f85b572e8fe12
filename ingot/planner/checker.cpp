#include "ingot/planner/checker.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "ingot/base/error.h"

namespace ingot {
namespace {

constexpr std::size_t kMaxViolations = 10;

class Checker {
 public:
  Checker(const PlanRequest& request, const Plan& plan) : request_(request), plan_(plan) {}

  std::vector<std::string> run() {
    if (plan_.offsets.size() != request_.buffers.size()) {
      report(fmt::format("plan has {} offsets for {} buffers", plan_.offsets.size(),
                         request_.buffers.size()));
      return violations_;
    }
    for (int i = 0; i < static_cast<int>(request_.buffers.size()); ++i) check_place(i);
    sweep();
    return violations_;
  }

 private:
  [[nodiscard]] const BufferRequest& buffer(int i) const {
    return request_.buffers[static_cast<std::size_t>(i)];
  }
  [[nodiscard]] std::int64_t begin(int i) const {
    return plan_.offsets[static_cast<std::size_t>(i)];
  }
  [[nodiscard]] std::int64_t end(int i) const { return begin(i) + buffer(i).bytes; }
  [[nodiscard]] int base_of(int i) const {
    while (buffer(i).alias_of >= 0) i = buffer(i).alias_of;
    return i;
  }
  [[nodiscard]] std::string describe(int i) const {
    return fmt::format("buffer {} \"{}\" at [{},{}) in [{},{}]", i, buffer(i).owner, begin(i),
                       end(i), buffer(i).first_use, buffer(i).last_use);
  }
  void report(std::string text) {
    if (violations_.size() < kMaxViolations) violations_.push_back(std::move(text));
  }

  void check_place(int i) {
    if (buffer(i).bytes == 0) return;
    if (begin(i) % request_.alignment != 0) {
      report(fmt::format("{} is not aligned to {}", describe(i), request_.alignment));
    }
    if (begin(i) < 0 || end(i) > plan_.arena_bytes) {
      report(fmt::format("{} leaves the arena of {}", describe(i), plan_.arena_bytes));
    }
    const int base = base_of(i);
    if (begin(i) != begin(base) && buffer(base).bytes > 0) {
      report(
          fmt::format("{} does not lie where it shares memory: {}", describe(i), describe(base)));
    }
  }

  /// Time goes by; at each first use the newcomer meets those who are there.
  void sweep() {
    struct Event {
      int time;
      bool leaves;  // those last used at a time are still there when others come at that time
      int buffer;
      auto operator<=>(const Event&) const = default;
    };
    std::vector<Event> events;
    for (int i = 0; i < static_cast<int>(request_.buffers.size()); ++i) {
      if (buffer(i).bytes == 0) continue;
      events.push_back({buffer(i).first_use, false, i});
      events.push_back({buffer(i).last_use, true, i});
    }
    std::sort(events.begin(), events.end());
    for (const Event& event : events) {
      event.leaves ? leave(event.buffer) : enter(event.buffer);
    }
  }

  void enter(int i) {
    const int base = base_of(i);
    auto& sharers = live_sharers_[base];
    if (base != i && sharers.empty()) {
      report(fmt::format("{} shares memory that is not live", describe(i)));
    }
    // Buffers of different bases lie apart so far, hence are ordered by their ends too: before the
    // newcomer only those at the nearest offset can reach it, after it those that begin inside.
    auto at = live_.lower_bound({begin(i), -1});
    for (auto before = at;
         before != live_.begin() && std::prev(at)->first == std::prev(before)->first; --before) {
      meet(i, std::prev(before)->second);
    }
    for (; at != live_.end() && at->first < end(i); ++at) meet(i, at->second);
    live_.emplace(begin(i), i);
    sharers.insert(i);
  }

  void meet(int i, int other) {
    if (base_of(i) == base_of(other)) return;
    if (begin(i) < end(other) && begin(other) < end(i)) {
      report(fmt::format("{} overlaps {}", describe(i), describe(other)));
    }
  }

  void leave(int i) {
    live_.erase({begin(i), i});
    live_sharers_[base_of(i)].erase(i);
  }

  const PlanRequest& request_;
  const Plan& plan_;
  std::set<std::pair<std::int64_t, int>> live_;
  std::map<int, std::set<int>> live_sharers_;
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> check_plan(const PlanRequest& request, const Plan& plan) {
  return Checker(request, plan).run();
}

void verify_plan(const PlanRequest& request, const Plan& plan) {
  const std::vector<std::string> violations = check_plan(request, plan);
  if (!violations.empty()) throw internal_error("plan: must be sound, got " + violations.front());
}

}  // namespace ingot
