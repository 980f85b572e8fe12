// Tensor-core kernels of one product in several forms, compiled and run through the driver.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ingot/backends/cuda/contractions/mma_kernels.h"
#include "ingot/backends/cuda/driver/cuda_device.h"
#include "ingot/backends/cuda/driver/driver.h"
#include "ingot/backends/cuda/step/step_source.h"
#include "ingot/memory/buffer.h"
#include "tests/backends/support/mma_case.h"

namespace ingot::cuda {

inline std::string describe(const MmaChoice& c) {
  return fmt::format("{}x{}x{}b w{}.{}.{} s{} c{} p{}", c.form.bm, c.form.bn, c.form.bk_bytes,
                     c.form.warps_m, c.form.warps_n, c.form.warps_k, c.form.stages, c.cluster,
                     c.parts);
}

/// The kernels of one case.
struct MmaWork {
  explicit MmaWork(MmaCase p) : problem(std::move(p)) {}

  MmaCase problem;
  std::unique_ptr<Program> program;
  std::vector<MmaChoice> choices;
  std::vector<std::size_t> ends;  ///< of each choice's kernels
  std::int64_t scratch_bytes = 0;
  StepSource source;
  std::vector<std::vector<char>> codes;
  std::string trouble = {};

  /// In at most `forms` forms, best expected first, or in those that `wanted` says.
  void prepare(std::size_t forms, const std::function<bool(const MmaChoice&)>& wanted,
               const std::function<std::vector<char>(const std::string&)>& compile) {
    program = std::make_unique<Program>(program_of(problem));
    const Launch& launch = program->main.front();
    choices = mma_choices_of(*launch.node, 132);
    std::erase_if(choices, [&](const MmaChoice& choice) { return !wanted(choice); });
    if (choices.size() > forms) choices.resize(forms);
    std::vector<PlacedStage> stages;
    for (const MmaChoice& choice : choices) {
      const KernelProblem kernel{*launch.node, launch.inputs, launch.outputs};
      StageRequest request{launch};
      request.library = true;
      const auto made = make_mma_kernel(kernel, choice);
      scratch_bytes = std::max(scratch_bytes, made->scratch_bytes());
      for (Stage& stage : made->stages(request)) {
        PlacedStage placed;
        placed.stage = std::move(stage);
        stages.push_back(std::move(placed));
      }
      ends.push_back(stages.size());
    }
    source = kernels_source(*program, stages, {});
    for (const std::string& text : source.texts) codes.push_back(compile(text));
  }
};

/// The kernels with their operands on a device.
class LoadedMma {
 public:
  LoadedMma(const MmaWork& work, std::shared_ptr<CudaDevice> device, CUstream stream)
      : work_(work),
        device_(std::move(device)),
        stream_(stream),
        buffers_(work.program->slots.size()) {
    const Launch& launch = work.program->main.front();
    for (std::size_t i = 0; i < launch.inputs.size(); ++i) {
      operands_.push_back(random_data(node().input(i), 7 + i));
      Buffer& buffer = buffers_[static_cast<std::size_t>(launch.inputs[i])];
      buffer = Buffer::allocate(device_, operands_.back().bytes.size(), "operand");
      device_->copy_to_device(buffer.data(), operands_.back().bytes.data(),
                              operands_.back().bytes.size());
    }
    const Value out = const_cast<Node&>(node()).output();
    bytes_ = static_cast<std::size_t>(out.layout().physical_bytes(out.type()));
    result() = Buffer::allocate(device_, bytes_, "result");
    scratch_ = Buffer::allocate(
        device_, static_cast<std::size_t>(std::max<std::int64_t>(work.scratch_bytes, 16)),
        "scratch");
    for (const std::vector<char>& code : work.codes) {
      check(driver().ModuleLoadData(&modules_.emplace_back(), code.data()), "loading kernels");
    }
    for (const KernelText& text : work.source.kernels) load(text);
  }
  ~LoadedMma() {
    for (CUmodule module : modules_) driver().ModuleUnload(module);
  }
  LoadedMma(const LoadedMma&) = delete;
  LoadedMma& operator=(const LoadedMma&) = delete;

  [[nodiscard]] const Node& node() const { return *work_.program->main.front().node; }

  /// Puts the kernels of a choice on the stream.
  void launch(std::size_t choice) {
    for (std::size_t i = choice == 0 ? 0 : work_.ends[choice - 1]; i < work_.ends[choice]; ++i) {
      Ready& ready = kernels_[i];
      void* arguments[] = {ready.parameters.data()};
      check(driver().LaunchKernel(ready.function, static_cast<unsigned>(ready.text->blocks), 1, 1,
                                  static_cast<unsigned>(ready.text->threads), 1, 1,
                                  static_cast<unsigned>(ready.text->shared_bytes), stream_,
                                  arguments, nullptr),
            "launching " + describe(work_.choices[choice]));
    }
  }

  /// Runs the choice once and compares; see largest_error.
  double error(std::size_t choice) {
    device_->fill(result().data(), std::byte{0x7f}, bytes_);
    launch(choice);
    check(driver().StreamSynchronize(stream_), "running " + describe(work_.choices[choice]));
    std::vector<std::byte> got(bytes_);
    device_->copy_to_host(got.data(), result().data(), bytes_);
    return largest_error(work_.problem, node(), operands_[0], operands_[1], got);
  }

 private:
  struct Ready {
    const KernelText* text = nullptr;
    CUfunction function = nullptr;
    std::vector<std::uint64_t> parameters;
  };

  Buffer& result() {
    return buffers_[static_cast<std::size_t>(work_.program->main.front().outputs.front())];
  }
  void load(const KernelText& text) {
    Ready& ready = kernels_.emplace_back();
    ready.text = &text;
    check(driver().ModuleGetFunction(&ready.function, modules_[text.module], text.name.c_str()),
          "finding a kernel");
    check(driver().FuncSetAttribute(ready.function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                    text.shared_bytes),
          "asking for shared memory");
    for (const Pointer& pointer : text.pointers) {
      const Buffer& memory =
          pointer.slot < 0 ? scratch_ : buffers_[static_cast<std::size_t>(pointer.slot)];
      ready.parameters.push_back(reinterpret_cast<std::uint64_t>(memory.data()));
    }
    // What the body does not use: a stride, then the control record and so on.
    constexpr std::size_t kTail = 6;
    ready.parameters.resize(ready.parameters.size() + kTail);
  }

  const MmaWork& work_;
  std::shared_ptr<CudaDevice> device_;
  CUstream stream_;
  std::vector<HostData> operands_;
  std::vector<Buffer> buffers_;
  Buffer scratch_;
  std::size_t bytes_ = 0;
  std::vector<CUmodule> modules_;
  std::vector<Ready> kernels_;
};

}  // namespace ingot::cuda
