// What a profile measured, for callers and for INGOT_TRACE=kernels.
#include <fmt/core.h>

#include "ingot/base/trace.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/ir/op_def.h"
#include "ingot/runtime/kernel.h"

namespace ingot {
namespace {

std::string text_of(const Node& node, const Kernel& kernel) {
  return fmt::format("{} \"{}\": {}", node.op().name, node.name(), kernel.name());
}

void print(double seconds, double whole, const std::string& text) {
  trace(Channel::kernels, fmt::format("{:9.2f} us {:5.1f} %  {}", 1e6 * seconds,
                                      whole > 0 ? 100.0 * seconds / whole : 0.0, text));
}

/// What was done in that time, as far as it is known.
std::string rates(const KernelTime& time) {
  std::string text;
  if (time.seconds <= 0) return text;
  if (time.bytes > 0) text += fmt::format(", {:.0f} GB/s", 1e-9 * time.bytes / time.seconds);
  if (time.flops > 0) text += fmt::format(", {:.0f} GFLOP/s", 1e-9 * time.flops / time.seconds);
  if (time.floor_seconds > 0) {
    text += fmt::format(", {:.0f} % of the roofline", 100 * time.floor_seconds / time.seconds);
  }
  return text;
}

}  // namespace

bool Executable::Impl::profiled() const noexcept {
  return options.profile || trace_enabled(Channel::kernels);
}

std::vector<KernelTime> Executable::Impl::kernel_times() const {
  if (!profiled() || steps == 0) return {};
  if (runner != nullptr) return runner->kernel_times();
  std::vector<KernelTime> times;
  for (const auto* list : {&program.main, &program.commit}) {
    for (const Launch& launch : *list) {
      KernelTime& time = times.emplace_back();
      time.what = text_of(*launch.node, *launch.kernel);
      time.seconds = launch.seconds / static_cast<double>(steps);
    }
  }
  return times;
}

void Executable::Impl::trace_kernels() const {
  double total = 0;
  const std::vector<KernelTime> times = kernel_times();
  for (const KernelTime& time : times) total += time.seconds;
  if (runner != nullptr) {
    for (const KernelTime& time : times) print(time.seconds, total, time.what + rates(time));
    return;
  }
  std::size_t next = 0;
  for (const auto* list : {&program.main, &program.commit}) {
    for (const Launch& launch : *list) {
      print(times[next].seconds, total, times[next].what);
      ++next;
      // Of a Region: the time of all threads together, and its shares.
      const std::vector<InnerKernel> inner = launch.kernel->inner();
      double all = 0;
      for (const InnerKernel& each : inner) all += each.seconds;
      for (const InnerKernel& each : inner) {
        const double seconds = each.seconds / static_cast<double>(steps);
        print(seconds, all / static_cast<double>(steps), "  " + text_of(*each.node, *each.kernel));
      }
    }
  }
}

std::vector<KernelTime> Executable::kernel_times() const { return impl_->kernel_times(); }

}  // namespace ingot
