#include "ingot/planner/lifetimes.h"

#include <fmt/core.h>

#include <algorithm>

#include "ingot/base/error.h"

namespace ingot {
namespace {

void check_request(const PlanRequest& request) {
  if (request.alignment <= 0 || (request.alignment & (request.alignment - 1)) != 0) {
    throw internal_error(
        fmt::format("plan: alignment must be a power of two, got {}", request.alignment));
  }
  for (std::size_t i = 0; i < request.buffers.size(); ++i) {
    const BufferRequest& buffer = request.buffers[i];
    if (buffer.bytes < 0) {
      throw internal_error(fmt::format("plan \"{}\": bytes must not be negative, got {}",
                                       buffer.owner, buffer.bytes));
    }
    if (buffer.last_use < buffer.first_use) {
      throw internal_error(
          fmt::format("plan \"{}\": last use must not precede the first, got {} "
                      "to {}",
                      buffer.owner, buffer.first_use, buffer.last_use));
    }
    if (buffer.alias_of < -1 || buffer.alias_of >= static_cast<int>(i)) {
      throw internal_error(
          fmt::format("plan \"{}\": alias must be of an earlier buffer, got {} in "
                      "buffer {}",
                      buffer.owner, buffer.alias_of, i));
    }
  }
}

std::int64_t round_up(std::int64_t bytes, std::int64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

Lifetimes find_lifetimes(const PlanRequest& request) {
  check_request(request);
  Lifetimes result;
  const std::size_t n = request.buffers.size();
  std::vector<std::size_t> root(n);
  std::vector<Lifetime> merged(n);
  for (std::size_t i = 0; i < n; ++i) {
    const BufferRequest& buffer = request.buffers[i];
    root[i] = buffer.alias_of < 0 ? i : root[static_cast<std::size_t>(buffer.alias_of)];
    Lifetime& item = merged[root[i]];
    if (root[i] == i) item = {0, buffer.first_use, buffer.last_use};
    item.bytes = std::max(item.bytes, round_up(buffer.bytes, request.alignment));
    item.first = std::min(item.first, buffer.first_use);
    item.last = std::max(item.last, buffer.last_use);
  }
  std::vector<int> item_of_root(n, -1);
  result.item_of.assign(n, -1);
  for (std::size_t i = 0; i < n; ++i) {
    if (root[i] == i && merged[i].bytes > 0) {
      item_of_root[i] = static_cast<int>(result.items.size());
      result.items.push_back(merged[i]);
    }
    result.item_of[i] = item_of_root[root[i]];
  }
  // Only the order of first and last uses matters: each first use is a time of its own.
  for (const Lifetime& item : result.items) result.time_of.push_back(item.first);
  std::sort(result.time_of.begin(), result.time_of.end());
  result.time_of.erase(std::unique(result.time_of.begin(), result.time_of.end()),
                       result.time_of.end());
  const auto rank = [&](int time) {
    return static_cast<int>(std::upper_bound(result.time_of.begin(), result.time_of.end(), time) -
                            result.time_of.begin() - 1);
  };
  std::vector<std::int64_t> change(result.time_of.size() + 1, 0);
  for (Lifetime& item : result.items) {
    item.first = rank(item.first);
    item.last = rank(item.last);
    change[static_cast<std::size_t>(item.first)] += item.bytes;
    change[static_cast<std::size_t>(item.last) + 1] -= item.bytes;
  }
  std::int64_t live = 0;
  for (std::size_t t = 0; t < result.time_of.size(); ++t) {
    live += change[t];
    result.live.push_back(live);
  }
  return result;
}

int peak_time(const Lifetimes& lifetimes) {
  if (lifetimes.live.empty()) return -1;
  return static_cast<int>(std::max_element(lifetimes.live.begin(), lifetimes.live.end()) -
                          lifetimes.live.begin());
}

}  // namespace ingot
