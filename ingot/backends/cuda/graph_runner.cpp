// Runs each step as a captured graph of kernels and libraries' work.
#include <algorithm>
#include <utility>

#include "ingot/backends/cuda/driver.h"
#include "ingot/backends/cuda/step_runner.h"

namespace ingot::cuda {
namespace {

/// A graph and what runs it.
struct GraphHandles {
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;

  GraphHandles() = default;
  ~GraphHandles() { drop(); }
  GraphHandles(const GraphHandles&) = delete;
  GraphHandles& operator=(const GraphHandles&) = delete;
  void drop() noexcept {
    if (exec != nullptr) driver().GraphExecDestroy(exec);
    if (graph != nullptr) driver().GraphDestroy(graph);
    exec = nullptr;
    graph = nullptr;
  }
};

class GraphRunner final : public StepRunner {
 public:
  GraphRunner(const RunnerRequest& request, std::shared_ptr<CudaDevice> device, StepSource source)
      : StepRunner(request, std::move(device), std::move(source)) {
    std::int64_t most = 0;
    for (const KernelText& text : this->source().kernels) {
      if (text.library != nullptr) most = std::max(most, text.library->workspace_bytes());
    }
    if (most > 0) {
      workspace_ = Buffer::allocate(shared_device(), static_cast<std::size_t>(most),
                                    "workspace of libraries");
    }
  }
  ~GraphRunner() override { driver().StreamSynchronize(stream()); }

  void run(int steps, std::span<const FeedMemory> feeds) override {
    device().make_current();
    for (int step = 0; step < steps; ++step) run_step(step, feeds);
  }

  void rebind(std::span<std::byte* const> addresses) override {
    StepRunner::rebind(addresses);
    graph_.drop();
  }

 private:
  void run_step(int step, std::span<const FeedMemory> feeds) {
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      const std::int64_t bytes = program().feeds[i].type.bytes();
      std::byte* target = feed_buffer(i, std::max<std::int64_t>(bytes, 1));
      if (target != feed_data()[i]) {
        feed_data()[i] = target;
        graph_.drop();
        unbind();
      }
      copy_feed(target, feeds[i], feeds[i].data + feeds[i].stride * step, bytes);
    }
    if (!bound()) bind();
    if (graph_.exec == nullptr) capture();
    check(driver().GraphLaunch(graph_.exec, stream()), "launching the step");
  }

  void launch(std::size_t k) {
    const KernelText& text = source().kernels[k];
    if (text.library != nullptr) {
      std::vector<std::byte*> memory;
      for (const Pointer& pointer : text.pointers) {
        memory.push_back(const_cast<std::byte*>(address_of(pointer)));
      }
      text.library->enqueue(stream(), memory, static_cast<std::byte*>(workspace_.data()));
      return;
    }
    Loaded& kernel = loaded()[k];
    void* arguments[] = {kernel.parameters.data()};
    const CUresult result = driver().LaunchKernel(kernel.function, kernel.blocks, 1, 1, kThreads, 1,
                                                  1, static_cast<unsigned>(text.shared_bytes),
                                                  stream(), arguments, nullptr);
    if (result != CUDA_SUCCESS) check(result, "launching " + text.what.front());
  }

  void capture() {
    check(driver().StreamBeginCapture(stream(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
          "capturing the step");
    for (std::size_t k = 0; k < loaded().size(); ++k) launch(k);
    check(driver().StreamEndCapture(stream(), &graph_.graph), "capturing the step");
    check(driver().GraphInstantiateWithFlags(&graph_.exec, graph_.graph, 0),
          "making the step's graph");
  }

  GraphHandles graph_;
  Buffer workspace_;
};

}  // namespace

std::unique_ptr<Runner> make_graph_runner(const RunnerRequest& request,
                                          std::shared_ptr<CudaDevice> device, StepSource source) {
  return std::make_unique<GraphRunner>(request, std::move(device), std::move(source));
}

}  // namespace ingot::cuda
