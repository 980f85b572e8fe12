#include "ingot/backends/cpu/kernel_tuner.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>
#include <vector>

#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/backends/cpu/cpu_machine.h"
#include "ingot/base/philox.h"
#include "ingot/base/trace.h"
#include "ingot/ir/op_def.h"
#include "ingot/memory/buffer.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;

/// A kernel must take less than this share of the first one's time to replace it.
constexpr double kClearlyFaster = 0.97;

struct Effort {
  int rounds;
  double seconds;  ///< of a kernel in a round, at least
};
Effort effort_of(Tune tune) { return tune == Tune::full ? Effort{15, 4e-3} : Effort{3, 1e-3}; }

std::string value_text(const TensorType& type, const Layout& layout) {
  return fmt::format("{}@{}", type.to_string(), layout.to_string(type.shape.rank()));
}

/// Memory for one Node's operands and results, the operands random.
class Operands {
 public:
  Operands(const Node& node, const CpuBackend& backend) : device_(backend.device()) {
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      add(node.input_type(i), node.input(static_cast<int>(i)).layout(), i);
    }
    for (const Node::Output& output : node.outputs()) add(output.type, output.layout, 0);
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      slots_.push_back(static_cast<std::byte*>(memory_[i].data()));
      (i < node.inputs().size() ? inputs_ : outputs_).push_back(static_cast<int>(i));
    }
  }

  [[nodiscard]] KernelProblem problem(const Node& node) const { return {node, inputs_, outputs_}; }
  [[nodiscard]] std::byte* const* slots() const { return slots_.data(); }
  [[nodiscard]] Buffer allocate(std::int64_t bytes) const {
    return Buffer::allocate(device_, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 64)),
                            "kernel tuning");
  }

 private:
  /// Whatever is not f32 is zero: a valid index, and as fast as any other number.
  void add(const TensorType& type, const Layout& layout, std::size_t stream) {
    const std::int64_t bytes = layout.physical_bytes(type);
    Buffer& buffer = memory_.emplace_back(allocate(bytes));
    device_->fill(buffer.data(), std::byte{0}, static_cast<std::size_t>(bytes));
    if (type.dtype != DType::f32) return;
    auto* const values = static_cast<float*>(buffer.data());
    for (std::int64_t i = 0; i < bytes / 4; ++i) {
      values[i] = 2 * philox_uniform(1, static_cast<std::uint32_t>(stream), 0,
                                     static_cast<std::uint64_t>(i)) -
                  1;
    }
  }

  std::shared_ptr<Device> device_;
  std::vector<Buffer> memory_;
  std::vector<std::byte*> slots_;
  std::vector<int> inputs_, outputs_;
};

/// A kernel that is ready to run.
class Contender {
 public:
  Contender(const KernelCandidate& candidate, const Node& node, const Operands& operands,
            const CpuBackend& backend)
      : slots_(operands.slots()),
        kernel_(candidate.create(operands.problem(node), backend)),
        scratch_(operands.allocate(kernel_->scratch_bytes())) {
    run();
  }

  /// Keeps the least time of a run.
  void time(double seconds) {
    int runs = 0;
    const Clock::time_point begin = Clock::now();
    double spent = 0;
    do {
      run();
      ++runs;
      spent = std::chrono::duration<double>(Clock::now() - begin).count();
    } while (spent < seconds);
    best_ = std::min(best_, spent / runs);
  }
  [[nodiscard]] double best() const noexcept { return best_; }

 private:
  void run() { kernel_->run({slots_, static_cast<std::byte*>(scratch_.data()), &errors_}); }

  std::byte* const* slots_;
  std::unique_ptr<Kernel> kernel_;
  Buffer scratch_;
  StepErrorLatch errors_;
  double best_ = std::numeric_limits<double>::infinity();
};

void trace_choice(const Node& node, const std::string& how) {
  if (!trace_enabled(Channel::dispatch)) return;
  trace(Channel::dispatch, fmt::format("{} \"{}\": {}", node.op().name, node.name(), how));
}

}  // namespace

std::string KernelTuner::problem(const Node& node, const CpuBackend& backend) const {
  std::string text = fmt::format("{} {{", node.op().name);
  for (std::size_t i = 0; i < node.attrs().size(); ++i) {
    text += fmt::format("{}{}={}", i == 0 ? "" : ", ", node.op().attrs[i].name,
                        to_string(node.attrs()[i]));
  }
  text += "} (";
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ",
                        value_text(node.input_type(i), node.input(static_cast<int>(i)).layout()));
  }
  text += ") ->";
  for (const Node::Output& output : node.outputs()) {
    text += fmt::format(" {}", value_text(output.type, output.layout));
  }
  const std::string onednn = onednn_version();
  return fmt::format("{}; {} thread(s){}; {}; ingot {}, highway {}, onednn {}; {}", text,
                     backend.threads(), backend.is_serial() ? " of several" : "",
                     simd_target_name(), INGOT_VERSION, highway_version(),
                     onednn.empty() ? "none" : onednn, tune_name(effort_));
}

const KernelCandidate& KernelTuner::choose(const Node& node,
                                           std::span<const KernelCandidate* const> able,
                                           const CpuBackend& backend) const {
  // A Region's problem is its body, which has kernels of its own.
  if (able.size() < 2 || node.body() != nullptr) return *able.front();
  const std::string key = problem(node, backend);
  if (const auto known = choices_->find(key)) {
    const auto it = std::ranges::find(able, *known, &KernelCandidate::name);
    if (it != able.end()) {
      trace_choice(node, fmt::format("chosen before: {}", *known));
      return **it;
    }
  }
  const Operands operands(node, backend);
  std::vector<std::unique_ptr<Contender>> contenders;
  for (const KernelCandidate* candidate : able) {
    contenders.push_back(std::make_unique<Contender>(*candidate, node, operands, backend));
  }
  const Effort effort = effort_of(effort_);
  for (int round = 0; round < effort.rounds; ++round) {
    for (const auto& contender : contenders) contender->time(effort.seconds);
  }
  std::size_t winner = 0;
  std::string times;
  for (std::size_t i = 0; i < able.size(); ++i) {
    const double limit =
        winner == 0 ? kClearlyFaster * contenders[0]->best() : contenders[winner]->best();
    if (i > 0 && contenders[i]->best() < limit) winner = i;
    times += fmt::format("{}{} {:.1f} us", i == 0 ? "" : ", ", able[i]->name,
                         1e6 * contenders[i]->best());
  }
  choices_->set(key, able[winner]->name);
  trace_choice(node, fmt::format("tuned: {} of {}", able[winner]->name, times));
  return *able[winner];
}

}  // namespace ingot
