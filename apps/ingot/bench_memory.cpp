#include "apps/ingot/bench_memory.h"

#include <fmt/core.h>

namespace ingot::cli {
namespace {

double mib(std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

std::int64_t used_bytes(const Device& device) {
  const MemoryInfo info = device.memory_info();
  return static_cast<std::int64_t>(info.total_bytes - info.free_bytes);
}

void BenchMemory::measure(Device& device) {
  allocated = device.allocation_stats().device_bytes.load();
  used = used_bytes(device);
  apart = !device.host_visible();
}

void BenchMemory::add_to(io::Json& result) const {
  io::Json owners = io::Json::object();
  for (const MemoryOwner& owner : planned) owners.set(owner.name, owner.bytes);
  result.set("planned_device_bytes", total_bytes(planned));
  result.set("planned_device_owners", std::move(owners));
  result.set("device_bytes", allocated);
  result.set("device_used_bytes", used);
  result.set("device_used_bytes_at_start", used_at_start);
  result.set("batches_bytes", batches);
}

std::string BenchMemory::text() const {
  const std::int64_t total = total_bytes(planned);
  std::string lines = fmt::format("  on the device: {:.2f} MiB allocated, ", mib(allocated));
  lines += allocated == total ? "as planned:" : fmt::format("{:.2f} MiB planned:", mib(total));
  for (const MemoryOwner& owner : planned) {
    lines += fmt::format("{} {} {:.2f}", &owner == planned.data() ? "" : ",", owner.name,
                         mib(owner.bytes));
  }
  lines += '\n';
  if (!apart) return lines;
  const std::int64_t beyond = used - used_at_start;
  return lines + fmt::format(
                     "  in use there, by all programs: {:.2f} MiB more than with an empty context, "
                     "{:.2f} without the batches to feed\n",
                     mib(beyond), mib(beyond - batches));
}

}  // namespace ingot::cli
