#include "ingot/base/trace.h"

#include <array>
#include <cstdio>

#include "ingot/base/env.h"
#include "ingot/base/error.h"

namespace ingot {
namespace detail {

constinit std::atomic<std::uint32_t> trace_mask{kTraceUnread};

}  // namespace detail

namespace {

using Filters = std::array<std::string, kChannelCount>;

// What the mask does not say; read only by channels that are on. Trace output belongs to the
// process as stderr does, which is why this one piece of state does too.
struct TraceState {
  std::mutex mutex;
  Filters filters;
  TraceCapture* capture = nullptr;
  Filters saved_filters;
};

TraceState& state() {
  // Never destroyed, so that destructors which run at exit may still trace.
  static TraceState& instance = *new TraceState;
  return instance;
}

std::uint32_t configure(const EnvList& list, Filters& filters) {
  std::uint32_t mask = 0;
  filters = {};
  for (const auto& [channel, filter] : list) {
    mask |= 1u << channel;
    filters[channel] = filter;
  }
  return mask;
}

}  // namespace

std::uint32_t detail::read_trace_environment() noexcept {
  TraceState& trace_state = state();
  const std::lock_guard lock(trace_state.mutex);
  std::uint32_t mask = trace_mask.load(std::memory_order_relaxed);
  if (mask != kTraceUnread) return mask;
  mask = 0;
  try {
    mask = configure(env_list("INGOT_TRACE"), trace_state.filters);
  } catch (const Error& error) {
    std::fprintf(stderr, "ingot: %s\n", error.what());
  }
  trace_mask.store(mask, std::memory_order_relaxed);
  return mask;
}

std::string_view channel_name(Channel channel) noexcept {
  return env_variable("INGOT_TRACE").choices[static_cast<std::size_t>(channel)];
}

void trace(Channel channel, std::string_view text) {
  if (!trace_enabled(channel)) return;
  TraceState& trace_state = state();
  const std::lock_guard lock(trace_state.mutex);
  const std::string& filter = trace_state.filters[static_cast<std::size_t>(channel)];
  if (!filter.empty() && text.find(filter) == std::string_view::npos) return;
  if (trace_state.capture != nullptr) {
    const std::lock_guard capture_lock(trace_state.capture->mutex_);
    trace_state.capture->lines_.emplace_back(text);
    return;
  }
  const std::string line =
      std::string("ingot ").append(channel_name(channel)).append(": ").append(text).append("\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

TraceCapture::TraceCapture(std::string_view spec) {
  const EnvList list = parse_env_list(env_variable("INGOT_TRACE"), spec);
  TraceState& trace_state = state();
  const std::lock_guard lock(trace_state.mutex);
  if (trace_state.capture != nullptr) throw internal_error("trace capture: must be the only one");
  saved_mask_ = detail::trace_mask.load(std::memory_order_relaxed);
  trace_state.saved_filters = trace_state.filters;
  trace_state.capture = this;
  detail::trace_mask.store(configure(list, trace_state.filters), std::memory_order_relaxed);
}

TraceCapture::~TraceCapture() {
  TraceState& trace_state = state();
  const std::lock_guard lock(trace_state.mutex);
  trace_state.capture = nullptr;
  trace_state.filters = trace_state.saved_filters;
  detail::trace_mask.store(saved_mask_, std::memory_order_relaxed);
}

std::vector<std::string> TraceCapture::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

}  // namespace ingot
