#include "ingot/backends/cuda/libraries/kernel_race.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ingot/backends/cuda/driver/driver.h"
#include "ingot/backends/cuda/driver/nvrtc.h"
#include "ingot/backends/cuda/libraries/cold_timer.h"
#include "ingot/backends/cuda/libraries/plan_choice.h"
#include "ingot/backends/cuda/step/step_source.h"
#include "ingot/base/trace.h"
#include "ingot/ir/op_def.h"

namespace ingot::cuda {
namespace {

// A kernel of the step's own may begin before the one ahead of it ends; a library's may not.
constexpr double kLibraryStart = 1e-6;
// By how much the model of tiles may be wrong: an own kernel that is expected to take longer than
// this many times what the library takes is not compiled to be timed.
constexpr double kModelError = 1.4;

std::string value_text(const Value& value) {
  return fmt::format("{}@{}", value.type().to_string(),
                     value.layout().to_string(value.shape().rank()));
}

std::string attributes_text(const Node& node) {
  std::string text;
  for (std::size_t i = 0; i < node.attrs().size(); ++i) {
    text += fmt::format("{}{}={}", i == 0 ? "" : ",", node.op().attrs[i].name,
                        to_string(node.attrs()[i]));
  }
  return text;
}

/// A Program of the kernel's Node alone: a slot for each operand and result.
Program program_of(const CudaKernel& kernel) {
  Program program;
  const auto add = [&program](const Value& value) {
    Slot slot;
    slot.storage = Slot::Storage::feed;
    slot.value = value;
    slot.root = static_cast<int>(program.slots.size());
    program.slots.push_back(slot);
  };
  const Node& node = kernel.node();
  for (const Value& input : node.inputs()) add(input);
  for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
    add(const_cast<Node&>(node).output(i));
  }
  return program;
}

/// The Node's memory.
class Operands {
 public:
  Operands(const Program& program, const ColdTimer& timer) {
    for (std::size_t i = 0; i < program.slots.size(); ++i) {
      const Slot& slot = program.slots[i];
      memory_.push_back(
          timer.random(slot.bytes(), slot.value.dtype(), static_cast<std::uint32_t>(i)));
    }
  }
  [[nodiscard]] std::byte* at(int slot) const {
    return static_cast<std::byte*>(memory_[static_cast<std::size_t>(slot)].data());
  }

 private:
  std::vector<Buffer> memory_;
};

/// A kernel that is ready to run.
class LoneKernel {
 public:
  LoneKernel(const CudaKernel& kernel, const Program& program, const Operands& operands,
             const ColdTimer& timer, const CudaDevice& device)
      : kernel_(kernel), operands_(operands), scratch_(timer.allocate(kernel.scratch_bytes())) {
    Launch launch;
    launch.node = &kernel.node();
    launch.inputs.assign(kernel.inputs().begin(), kernel.inputs().end());
    launch.outputs.assign(kernel.outputs().begin(), kernel.outputs().end());
    StageRequest request{launch};
    request.multiprocessors = device.facts().multiprocessors;
    request.library = true;
    std::vector<PlacedStage> stages;
    for (Stage& stage : kernel.stages(request)) {
      PlacedStage placed;
      placed.stage = std::move(stage);
      placed.scratch_bytes = kernel.scratch_bytes();
      stages.push_back(std::move(placed));
    }
    source_ = kernels_source(program, stages, {});
    const bool generated = std::ranges::any_of(
        source_.kernels, [](const KernelText& text) { return text.library == nullptr; });
    if (generated) {
      for (const auto& [code, cached] : compile_kernels(source_.texts, device.facts().arch)) {
        check(driver().ModuleLoadData(&modules_.emplace_back(nullptr), code.data()),
              "loading kernels");
      }
    }
    for (const KernelText& text : source_.kernels) prepare(text);
  }
  ~LoneKernel() {
    for (const CUmodule module : modules_) {
      if (module != nullptr) driver().ModuleUnload(module);
    }
  }
  LoneKernel(const LoneKernel&) = delete;
  LoneKernel& operator=(const LoneKernel&) = delete;

  void enqueue(CUstream stream) const {
    for (std::size_t k = 0; k < source_.kernels.size(); ++k) {
      const KernelText& text = source_.kernels[k];
      if (text.library != nullptr) {
        text.library->enqueue(stream, ready_[k].memory);
        continue;
      }
      void* arguments[] = {const_cast<std::uint64_t*>(ready_[k].parameters.data())};
      check(driver().LaunchKernel(ready_[k].function, static_cast<unsigned>(text.blocks), 1, 1,
                                  static_cast<unsigned>(text.threads), 1, 1,
                                  static_cast<unsigned>(text.shared_bytes), stream, arguments,
                                  nullptr),
            "timing kernels");
    }
  }

 private:
  struct Ready {
    CUfunction function = nullptr;
    std::vector<std::byte*> memory;
    std::vector<std::uint64_t> parameters;
  };

  void prepare(const KernelText& text) {
    Ready& ready = ready_.emplace_back();
    for (const Pointer& pointer : text.pointers) {
      ready.memory.push_back(pointer.slot < 0
                                 ? static_cast<std::byte*>(scratch_.data()) + pointer.offset
                                 : operands_.at(place_of(pointer.slot)));
    }
    if (text.library != nullptr) return;
    check(driver().ModuleGetFunction(&ready.function, modules_[text.module], text.name.c_str()),
          "finding a kernel");
    check(driver().FuncSetAttribute(ready.function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                    text.shared_bytes),
          "asking for shared memory");
    for (std::byte* const memory : ready.memory) {
      ready.parameters.push_back(reinterpret_cast<std::uint64_t>(memory));
    }
    // What the body does not use: a stride, then the control record and so on.
    constexpr std::size_t kTail = 6;
    ready.parameters.resize(ready.parameters.size() + kTail);
  }

  /// The slot whose memory it shares: a result's is mostly that of the operand it may overwrite, as
  /// in a step.
  [[nodiscard]] int place_of(int slot) const {
    const auto operands = static_cast<int>(kernel_.inputs().size());
    for (int i = 0; i < operands; ++i) {
      if (slot >= operands && kernel_.in_place(i, slot - operands)) return i;
    }
    return slot;
  }

  const CudaKernel& kernel_;
  const Operands& operands_;
  Buffer scratch_;
  StepSource source_;
  std::vector<CUmodule> modules_;
  std::vector<Ready> ready_;
};

/// What the kernel's model expects, as far as it has one.
double expected_seconds(const CudaKernel& kernel, const GpuFacts& gpu) {
  Launch launch;
  launch.node = &kernel.node();
  StageRequest request{launch};
  request.multiprocessors = gpu.multiprocessors;
  request.library = true;
  double cycles = 0;
  for (const Stage& stage : kernel.stages(request)) cycles += stage.unit_cycles;
  return cycles / gpu.cycles_per_second;
}

}  // namespace

std::string problem_text(const Node& node) {
  std::string text = fmt::format("{}{{{}}}(", node.op().name, attributes_text(node));
  if (node.body() != nullptr) text = "region(";
  for (const Value& input : node.inputs()) text += value_text(input) + " ";
  text += ")->";
  for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
    text += value_text(const_cast<Node&>(node).output(i)) + " ";
  }
  if (node.body() == nullptr) return text;
  // Names of layers say nothing about the work: Nodes go by their places.
  std::unordered_map<const Node*, std::size_t> places;
  for (const auto& inner : node.body()->nodes()) {
    const std::size_t place = places.size();
    places.emplace(inner.get(), place);
    text += fmt::format("; {}={}{{{}}}(", place, inner->op().name, attributes_text(*inner));
    for (const Value& input : inner->inputs()) text += fmt::format("{} ", places.at(input.node()));
    text += ")->" + inner->output_type().to_string();
  }
  return text;
}

KernelProblem race_problem(const Node& node) {
  KernelProblem problem{node, std::vector<int>(node.inputs().size()),
                        std::vector<int>(node.outputs().size())};
  std::iota(problem.inputs.begin(), problem.inputs.end(), 0);
  std::iota(problem.outputs.begin(), problem.outputs.end(),
            static_cast<int>(problem.inputs.size()));
  return problem;
}

bool KernelRace::library_wins(const LibraryKernel& library, const std::string& version,
                              FunctionRef<std::unique_ptr<CudaKernel>()> make_own) const {
  const std::string text = problem_text(library.node());
  const std::string key = fmt::format("{}, ingot {}, {}, {}: {}", device_->facts().name,
                                      INGOT_VERSION, version, tune_name(tune_), text);
  if (const std::optional<std::string> known = choices_->find(key)) {
    return *known == library.library();
  }
  const std::unique_ptr<CudaKernel> rival = make_own();
  if (rival == nullptr) return true;
  const CudaKernel& own = *rival;
  const std::array<std::string, 2> names{std::string(library.name()), std::string(own.name())};
  device_->make_current();
  const ColdTimer timer(device_);
  const Program program = program_of(library);
  const Operands operands(program, timer);
  double first = 0;
  const std::size_t winner = fastest(text, names, tune_, [&](std::size_t i, int repeats) {
    if (i == 1) {
      const double expected = expected_seconds(own, device_->facts());
      if (expected > kModelError * first) return expected;
    }
    const LoneKernel kernel(i == 0 ? library : own, program, operands, timer, *device_);
    const double seconds = timer.seconds([&](CUstream stream) { kernel.enqueue(stream); }, repeats);
    if (i == 0) first = seconds;
    return i == 0 ? seconds + kLibraryStart : seconds;
  });
  choices_->set(key, winner == 0 ? library.library() : names[winner]);
  return winner == 0;
}

}  // namespace ingot::cuda
