// Trace channels: what Ingot decided and why, on request.
//
// INGOT_TRACE=channel[:filter][,channel...] selects; with a filter only lines that contain it are
// written. The environment is read at the first question; a malformed value is reported once on
// stderr there and thrown by check_environment() (env.h), which entry points call.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace ingot {

/// In the order of INGOT_TRACE's choices in env.cpp.
enum class Channel : std::uint8_t {
  passes,
  regions,
  dispatch,
  numerics,
  memory,
  kernels,
  launches
};

inline constexpr int kChannelCount = 7;

std::string_view channel_name(Channel channel) noexcept;

namespace detail {
inline constexpr std::uint32_t kTraceUnread = 1u << 31;
/// One bit per channel, or kTraceUnread before the environment has been read.
extern std::atomic<std::uint32_t> trace_mask;
std::uint32_t read_trace_environment() noexcept;
}  // namespace detail

/// Whether a channel is on: one relaxed load after the first call.
inline bool trace_enabled(Channel channel) noexcept {
  std::uint32_t mask = detail::trace_mask.load(std::memory_order_relaxed);
  if (mask == detail::kTraceUnread) [[unlikely]]
    mask = detail::read_trace_environment();
  return (mask >> static_cast<unsigned>(channel) & 1u) != 0;
}

/// Writes "ingot CHANNEL: text" and a newline to stderr when the channel is on and its filter
/// matches. Thread safe. Callers guard the formatting of `text` by trace_enabled.
void trace(Channel channel, std::string_view text);

/// Replaces the trace configuration by `spec` (INGOT_TRACE's syntax) for a scope and collects the
/// lines, without prefix, instead of writing them. One at a time.
class TraceCapture {
 public:
  /// Throws a user Error for a malformed spec.
  explicit TraceCapture(std::string_view spec);
  ~TraceCapture();
  TraceCapture(const TraceCapture&) = delete;
  TraceCapture& operator=(const TraceCapture&) = delete;

  /// The lines so far, "text" of each.
  [[nodiscard]] std::vector<std::string> lines() const;

 private:
  friend void trace(Channel channel, std::string_view text);
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
  std::uint32_t saved_mask_ = 0;
};

}  // namespace ingot
