// Whether a small net's step is faster as one kernel or as a captured graph of many, and what the
// CUDA backend chooses by its model of costs.
//
//   step_form_bench [--prepare | --parts | --plan] [FIRST [COUNT]]
//
// Of the seeded generator's nets, all 50 unless given. Prints microseconds of a step in both forms,
// one call a step, feeds in device memory, 8 batches in turn; medians of 5 repeats. "--prepare"
// only compiles, so that several processes may fill the cache of compiled kernels before one
// measures; "--parts" prints where the one kernel's time goes,
// "--plan" what its planner expects, for an H200, which need not be here.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/step/schedule.h"
#include "ingot/backends/cuda/step/step_cost.h"
#include "ingot/base/error.h"
#include "ingot/engine/compile.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/memory/buffer.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"
#include "tests/bench/support/small_nets.h"

namespace ingot::cuda {
namespace {

constexpr std::uint32_t kBuffers = 8;
constexpr std::size_t kRing = 1 << 14;

/// A net's step in a form, with what it is fed.
class Step {
 public:
  Step(const small_nets::Net& net, const std::shared_ptr<CudaDevice>& device, StepForm form,
       bool profile = false)
      : store_(backend_of(device, form), 1),
        exe_(compile(small_nets::train_graph(net, net.batch), store_,
                     {.ring_capacity = kRing, .profile = profile})) {
    for (std::uint32_t b = 0; b < kBuffers; ++b) {
      const small_nets::Batch batch(net, net.batch, b);
      std::vector<Feed>& feeds = feeds_.emplace_back(batch.feeds());
      for (Feed& feed : feeds) {
        buffers_.push_back(Buffer::allocate(device, feed.bytes, feed.name));
        device->copy_to_device(buffers_.back().data(), feed.data, feed.bytes);
        feed = {feed.name, buffers_.back().data(), feed.bytes, {}, true};
      }
    }
    run(1);
  }

  [[nodiscard]] int nodes() const { return exe_.stats().device_nodes; }

  void print_parts() {
    run(200);
    for (const KernelTime& time : exe_.kernel_times()) {
      fmt::print("{:9.2f} us  {}\n", 1e6 * time.seconds, time.what);
    }
  }

  [[nodiscard]] double microseconds() {
    run(50);
    const auto steps =
        std::clamp<std::int64_t>(static_cast<std::int64_t>(3e4 / run(50)), 50, kRing / 2);
    std::vector<double> times;
    for (int repeat = 0; repeat < 5; ++repeat) times.push_back(run(steps));
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  }

 private:
  static std::shared_ptr<Backend> backend_of(const std::shared_ptr<CudaDevice>& device,
                                             StepForm form) {
    auto backend = std::make_shared<CudaBackend>(device, device->facts());
    backend->force_form(form);
    return backend;
  }

  /// Microseconds of each of so many steps, whose losses must be numbers.
  double run(std::int64_t steps) {
    const auto start = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < steps; ++i) exe_.step(feeds_[number_++ % kBuffers]);
    exe_.wait();
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    while (const auto entry = exe_.losses().pop()) {
      if (!std::isfinite(entry->values[0])) throw internal_error("a loss that is not finite");
    }
    return took.count() / static_cast<double>(steps);
  }

  VariableStore store_;
  Executable exe_;
  std::vector<std::vector<Feed>> feeds_;
  std::vector<Buffer> buffers_;
  std::size_t number_ = 0;
};

StepForm chosen(const small_nets::Net& net, const GpuFacts& gpu) {
  const CudaBackend backend(nullptr, gpu);
  PassContext context(backend);
  (void)run_passes(small_nets::train_graph(net, net.batch), pass_list(), {}, context);
  return context.form;
}

void measure(std::uint64_t first, std::uint64_t count) {
  const auto device = std::make_shared<CudaDevice>(0);
  int right = 0;
  double taken = 0;
  double best = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const small_nets::Net net = small_nets::make_net(seed);
    Step one(net, device, StepForm::latency);
    Step many(net, device, StepForm::throughput);
    const double one_us = one.microseconds();
    const double many_us = many.microseconds();
    const bool takes_one = chosen(net, device->facts()) == StepForm::latency;
    const double own = takes_one ? one_us : many_us;
    const double other = takes_one ? many_us : one_us;
    right += own <= other ? 1 : 0;
    taken += std::log(own);
    best += std::log(std::min(own, other));
    fmt::print(
        "net {}: one kernel {:.1f} us ({} nodes), captured {:.1f} us ({} nodes); chosen {}, "
        "{:.2f} of the other's time\n",
        seed, one_us, one.nodes(), many_us, many.nodes(), takes_one ? "one kernel" : "captured",
        own / other);
    std::fflush(stdout);
  }
  fmt::print("{} of {} are in the faster form; in the mean {:.1f} % slower than the faster\n",
             right, count, 100 * (std::exp((taken - best) / static_cast<double>(count)) - 1));
}

void prepare(std::uint64_t first, std::uint64_t count) {
  const auto device = std::make_shared<CudaDevice>(0);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    for (const StepForm form : {StepForm::latency, StepForm::throughput}) {
      const Step step(small_nets::make_net(seed), device, form);
    }
  }
}

void parts(std::uint64_t first, std::uint64_t count) {
  const auto device = std::make_shared<CudaDevice>(0);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    fmt::print("net {}\n", seed);
    Step(small_nets::make_net(seed), device, StepForm::latency, true).print_parts();
  }
}

void print_stages(const Program& program, const Schedule& schedule, std::string_view where,
                  const std::vector<PlacedStage>& stages, const GpuFacts& gpu) {
  for (const PlacedStage& placed : stages) {
    const Stage& stage = placed.stage;
    fmt::print("  {:9.0f} cycles  {}: {}, {} units\n",
               stage_cycles(program, stage, schedule.items, gpu.multiprocessors), where, stage.what,
               stage.mode == Mode::item ? stage.units_per_item : stage.units);
  }
}

void plan(std::uint64_t first, std::uint64_t count) {
  const GpuFacts gpu{.name = "H200", .arch = 90, .multiprocessors = 132};
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const small_nets::Net net = small_nets::make_net(seed);
    CudaBackend backend(nullptr, gpu);
    PassContext context(backend);
    const StepForm form = chosen(net, gpu);
    backend.force_form(StepForm::latency);
    const Program program =
        build_program(run_passes(small_nets::train_graph(net, net.batch), pass_list(), {}, context),
                      backend, StepForm::latency);
    const auto start = std::chrono::steady_clock::now();
    const Schedule schedule = cuda::schedule(program, gpu);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    fmt::print("net {}: {:.0f} cycles, {} phases, {} items, planned in {:.1f} ms, chosen {}\n",
               seed, schedule.cycles, schedule.phases.size(), schedule.items, took.count(),
               form == StepForm::latency ? "one kernel" : "captured");
    for (const Phase& phase : schedule.phases) {
      fmt::print(" phase\n");
      print_stages(program, schedule, "each block", phase.every, gpu);
      print_stages(program, schedule, "by item", phase.items, gpu);
      print_stages(program, schedule, "all blocks", phase.grid, gpu);
      print_stages(program, schedule, "one block", phase.single, gpu);
    }
  }
}

}  // namespace
}  // namespace ingot::cuda

int main(int argc, char** argv) {
  std::vector<std::string_view> words(argv + 1, argv + argc);
  auto* task = &ingot::cuda::measure;
  if (!words.empty()) {
    const std::string_view option = words.front();
    if (option == "--prepare") {
      task = &ingot::cuda::prepare;
    } else if (option == "--parts") {
      task = &ingot::cuda::parts;
    } else if (option == "--plan") {
      task = &ingot::cuda::plan;
    } else if (option.starts_with("--")) {
      fmt::print(stderr, "error: unknown option {}\n", option);
      return 2;
    }
    if (option.starts_with("--")) words.erase(words.begin());
  }
  const auto number = [&](std::size_t i, std::uint64_t otherwise) {
    return words.size() > i ? std::strtoull(words[i].data(), nullptr, 10) : otherwise;
  };
  const std::uint64_t first = number(0, 0);
  const std::uint64_t count = number(1, words.empty() ? 50 : 1);
  try {
    task(first, count);
  } catch (const ingot::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
  return 0;
}
