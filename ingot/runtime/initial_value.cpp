#include "ingot/runtime/initial_value.h"

#include <algorithm>
#include <array>
#include <span>

#include "ingot/base/philox_fill.h"
#include "ingot/base/thread_pool.h"

namespace ingot {
namespace {

// Elements made at once, and what one thread takes at a time.
constexpr std::int64_t kChunk = 1024;
constexpr std::int64_t kTask = 64 * kChunk;

/// FNV-1a, folded to 32 bits: the variable's random stream.
std::uint32_t stream_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  }
  return static_cast<std::uint32_t>(hash ^ (hash >> 32));
}

/// Elements from `first` on.
void fill(std::span<double> values, const Initializer& init, std::uint64_t seed,
          std::uint32_t stream, std::int64_t first) {
  const auto index = static_cast<std::uint64_t>(first);
  switch (init.kind) {
    case Initializer::Kind::constant: std::ranges::fill(values, init.a); return;
    case Initializer::Kind::uniform: {
      std::array<float, kChunk> uniform;
      const std::span<float> made(uniform.data(), values.size());
      philox_fill_uniform(made, seed, stream, 0, index);
      std::ranges::transform(made, values.begin(), [&](float u) {
        return init.a + (init.b - init.a) * static_cast<double>(u);
      });
      return;
    }
    case Initializer::Kind::normal:
      philox_fill_normal(values, seed, stream, 0, index);
      for (double& value : values) value = init.a + init.b * value;
      return;
  }
}

}  // namespace

void write_initial_value(const HostView& out, const Initializer& init, std::string_view name,
                         std::uint64_t seed, ThreadPool* threads) {
  const std::uint32_t stream = stream_of(name);
  const std::int64_t n = out.numel();
  const auto task = [&](std::int64_t t, int) {
    std::array<double, kChunk> values;
    const std::int64_t end = std::min(n, (t + 1) * kTask);
    for (std::int64_t first = t * kTask; first < end; first += kChunk) {
      const std::int64_t count = std::min(kChunk, end - first);
      const std::span<double> chunk(values.data(), static_cast<std::size_t>(count));
      fill(chunk, init, seed, stream, first);
      for (std::int64_t i = 0; i < count; ++i)
        out.set(first + i, chunk[static_cast<std::size_t>(i)]);
    }
  };
  const std::int64_t tasks = (n + kTask - 1) / kTask;
  if (threads != nullptr && tasks > 1) return threads->parallel_for(tasks, task);
  for (std::int64_t t = 0; t < tasks; ++t) task(t, 0);
}

}  // namespace ingot
