// Times the tensor-core kernels on a GPU and checks them: each problem in several forms of tile,
// launched one after another in one captured graph. Without a GPU it compiles them.
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ingot/backends/cuda/driver/nvrtc.h"
#include "ingot/ir/op_def.h"
#include "tests/backends/support/mma_work.h"

namespace ingot::cuda {
namespace {

/// Machine code; kept in the folder MMA_BENCH_CODE, so that one machine may compile for another.
std::vector<char> compiled(const std::string& source, int arch) {
  const char* folder = std::getenv("MMA_BENCH_CODE");
  if (folder == nullptr) return compile_uncached(source, arch);
  const std::string path = fmt::format("{}/{:016x}", folder, std::hash<std::string>()(source));
  if (std::ifstream in(path, std::ios::binary); in) return {std::istreambuf_iterator<char>(in), {}};
  std::vector<char> code = compile_uncached(source, arch);
  std::ofstream(path, std::ios::binary)
      .write(code.data(), static_cast<std::streamsize>(code.size()));
  return code;
}

class Timer {
 public:
  explicit Timer(std::shared_ptr<CudaDevice> device) : device_(std::move(device)) {
    check(driver().StreamCreate(&stream_, CU_STREAM_DEFAULT), "making a stream");
    check(driver().EventCreate(&begin_, CU_EVENT_DEFAULT), "making an event");
    check(driver().EventCreate(&end_, CU_EVENT_DEFAULT), "making an event");
  }

  void run(const MmaWork& work) {
    LoadedMma loaded(work, device_, stream_);
    std::vector<double> times;
    double worst = 0;
    std::string line;
    for (std::size_t k = 0; k < work.choices.size(); ++k) {
      const double error = loaded.error(k);
      worst = std::max(worst, error);
      times.push_back(time([&] { loaded.launch(k); }));
      line += fmt::format(" {}={:.2f}{}", describe(work.choices[k]), times.back(),
                          error > 6e-3 ? fmt::format("(ERROR {:.1e})", error) : "");
    }
    const auto best = std::ranges::min_element(times);
    const double flops = loaded.node().op().cost(loaded.node()).flops;
    fmt::print(
        "{:28} best {:8.2f} us {:6.1f} TFLOP/s  {:26} model's {:8.2f} ({:.2f})  error {:.1e}\n",
        work.problem.name, *best, flops / *best * 1e-6,
        describe(work.choices[static_cast<std::size_t>(best - times.begin())]), times.front(),
        work.choices.front().cycles / 1.75e3, worst);
    fmt::print("    {}\n", line);
    std::fflush(stdout);
  }

 private:
  template <typename Fn>
  double time(const Fn& go) {
    constexpr int kLaunches = 20;
    check(driver().StreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "capture");
    for (int i = 0; i < kLaunches; ++i) go();
    CUgraph graph = nullptr;
    CUgraphExec exec = nullptr;
    check(driver().StreamEndCapture(stream_, &graph), "capture");
    check(driver().GraphInstantiateWithFlags(&exec, graph, 0), "graph");
    double best = 1e30;
    for (int repeat = 0; repeat < 5; ++repeat) {
      check(driver().EventRecord(begin_, stream_), "event");
      check(driver().GraphLaunch(exec, stream_), "launch");
      check(driver().EventRecord(end_, stream_), "event");
      check(driver().EventSynchronize(end_), "event");
      float ms = 0;
      check(driver().EventElapsedTime(&ms, begin_, end_), "event");
      best = std::min(best, static_cast<double>(ms) * 1e3 / kLaunches);
    }
    driver().GraphExecDestroy(exec);
    driver().GraphDestroy(graph);
    return best;
  }

  std::shared_ptr<CudaDevice> device_;
  CUstream stream_ = nullptr;
  CUevent begin_ = nullptr, end_ = nullptr;
};

std::vector<MmaCase> problems(const std::set<std::string>& which) {
  std::vector<MmaCase> list;
  if (which.contains("gometal")) {
    const DType t = DType::f32;
    add_conv(list, "g1 3-32@32", t, 32, 3, 32, 32, 3, 1, true);
    add_conv(list, "g2 32-32/2@32", t, 32, 32, 32, 32, 3, 2);
    add_conv(list, "g3 32-64@16", t, 32, 32, 16, 64, 3, 1);
    add_conv(list, "g4 64-64/2@16", t, 32, 64, 16, 64, 3, 2);
    add_linear(list, "fc1 4096-128", t, 32, 4096, 128);
    add_linear(list, "fc2 128-10", t, 32, 128, 10);
  }
  if (which.contains("resnet")) {
    const DType t = DType::bf16;
    add_conv(list, "r18 64-64@32", t, 128, 64, 32, 64, 3, 1);
    add_conv(list, "r18 128-128@16", t, 128, 128, 16, 128, 3, 1);
    add_conv(list, "r50 256-64@56", t, 32, 256, 56, 64, 1, 1);
    add_conv(list, "r50 128-128/2@56", t, 32, 128, 56, 128, 3, 2);
    add_conv(list, "r50 stem", t, 16, 3, 224, 64, 7, 2, true);
    add_linear(list, "fc 2048-1000", t, 256, 2048, 1000);
  }
  return list;
}

int run(std::size_t forms, const std::set<std::string>& which) {
  std::shared_ptr<CudaDevice> device;
  try {
    device = std::make_shared<CudaDevice>(0);
  } catch (const std::exception& error) {
    fmt::print("no GPU ({}): kernels are compiled only\n", error.what());
  }
  std::vector<MmaWork> work;
  for (const MmaCase& p : problems(which)) work.emplace_back(p);
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> threads;
  const unsigned count = device == nullptr ? 1 : std::max(1U, std::thread::hardware_concurrency());
  for (unsigned t = 0; t < count; ++t) {
    threads.emplace_back([&] {
      for (std::size_t i = next++; i < work.size(); i = next++) try {
          work[i].prepare(
              forms, [](const MmaChoice&) { return true; },
              [](const std::string& text) { return compiled(text, 90); });
        } catch (const std::exception& error) {
          work[i].trouble = error.what();
        }
    });
  }
  for (std::thread& thread : threads) thread.join();
  int failed = 0;
  std::unique_ptr<Timer> timer;
  if (device != nullptr) timer = std::make_unique<Timer>(device);
  for (MmaWork& item : work) {
    if (item.trouble.empty() && timer != nullptr) {
      try {
        timer->run(item);
      } catch (const std::exception& error) {
        item.trouble = error.what();
      }
    } else if (item.trouble.empty()) {
      fmt::print("{:28} {} forms; first {} of {} blocks\n", item.problem.name, item.choices.size(),
                 describe(item.choices.front()), item.source.kernels.front().blocks);
    }
    if (!item.trouble.empty()) {
      ++failed;
      fmt::print("{}: {}\n", item.problem.name, item.trouble);
    }
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace ingot::cuda

int main(int argc, char** argv) {
  std::size_t forms = 4;
  std::set<std::string> which;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.starts_with("--forms=")) {
      forms = static_cast<std::size_t>(std::stoul(argument.substr(8)));
    } else {
      which.insert(argument);
    }
  }
  if (which.empty()) which = {"gometal", "resnet"};
  return ingot::cuda::run(forms, which);
}
