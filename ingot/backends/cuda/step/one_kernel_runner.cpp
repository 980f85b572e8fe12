// Runs steps as one kernel, whose blocks wait for one another.
#include <algorithm>
#include <utility>

#include "ingot/backends/cuda/driver/driver.h"
#include "ingot/backends/cuda/step/early_turn.h"
#include "ingot/backends/cuda/step/feed_ring.h"
#include "ingot/backends/cuda/step/step_runner.h"

namespace ingot::cuda {
namespace {

class OneKernelRunner final : public StepRunner {
 public:
  using StepRunner::StepRunner;
  ~OneKernelRunner() override {
    driver().StreamSynchronize(stream());
    if (turn_ != nullptr) turn_->give_back(stream());
  }

  void run(int steps, std::span<const FeedMemory> feeds) override {
    device().make_current();
    if (!bound()) bind();
    Loaded& kernel = loaded().front();
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      const FeedMemory& feed = feeds[i];
      feed_data()[i] = const_cast<std::byte*>(feed.on_device ? feed.data : stage(i, steps, feed));
      const auto& pointers = source().kernels.front().pointers;
      const auto it = std::ranges::find(pointers, Pointer{program().feeds[i].slot, 0});
      if (it != pointers.end()) {
        kernel.parameters[static_cast<std::size_t>(it - pointers.begin())] =
            reinterpret_cast<std::uint64_t>(feed_data()[i]);
      }
      kernel.parameters[std::max<std::size_t>(pointers.size(), 1) + i] =
          static_cast<std::uint64_t>(feed.stride);
    }
    kernel.parameters[kernel.parameters.size() - kTail + kSteps] =
        static_cast<std::uint64_t>(steps);
    launch(!reads_own(steps, feeds));
    rings_.release(stream());
    // fetched() of a feed means the last step's.
    for (std::size_t i = 0; i < feeds.size(); ++i) feed_data()[i] += feeds[i].stride * (steps - 1);
  }

 protected:
  [[nodiscard]] std::int64_t feed_bytes(std::size_t i, int steps,
                                        const FeedMemory& feed) const override {
    return !feed.on_device && bytes_of(i, steps, feed) == 0 ? 1 : 0;
  }
  [[nodiscard]] std::int64_t staged_bytes(std::size_t i, int steps,
                                          const FeedMemory& feed) const override {
    return feed.on_device ? 0 : FeedRing::device_bytes(bytes_of(i, steps, feed));
  }

 private:
  /// Of all steps where they are stacked.
  [[nodiscard]] std::int64_t bytes_of(std::size_t i, int steps, const FeedMemory& feed) const {
    return program().feeds[i].type.bytes() * (feed.stride > 0 ? steps : 1);
  }

  const std::byte* stage(std::size_t i, int steps, const FeedMemory& feed) {
    const std::int64_t bytes = bytes_of(i, steps, feed);
    if (bytes == 0) return feed_buffer(i, 1);
    return rings_.copy(i, program().feeds[i].name, feed.data, static_cast<std::size_t>(bytes),
                       stream());
  }

  /// Whether a feed lies in memory that steps write: the step before must end before it is read.
  [[nodiscard]] bool reads_own(int steps, std::span<const FeedMemory> feeds) const {
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      if (feeds[i].on_device && owns(feeds[i].data, bytes_of(i, steps, feeds[i]))) return true;
    }
    return false;
  }

  /// Early where it `may` be, unless the grid is that of a long step, which has more blocks than
  /// multiprocessors and little to gain.
  void launch(bool may) {
    if (turn_ == nullptr) return launch_cooperatively();
    const auto multiprocessors = static_cast<unsigned>(device().facts().multiprocessors);
    const bool wanted = may && loaded().front().blocks <= multiprocessors;
    turn_->launch(stream(), wanted, [this](bool early) {
      if (!early) return launch_cooperatively();
      StepRunner::launch(source().kernels.front(), loaded().front(), stream(), true);
    });
  }

  void launch_cooperatively() {
    Loaded& kernel = loaded().front();
    const KernelText& text = source().kernels.front();
    void* arguments[] = {kernel.parameters.data()};
    check(driver().LaunchCooperativeKernel(kernel.function, kernel.blocks, 1, 1, kThreads, 1, 1,
                                           static_cast<unsigned>(text.shared_bytes), stream(),
                                           arguments),
          "launching the step");
  }

  FeedRings rings_{shared_device()};
  /// Null where kernels do not begin early.
  std::shared_ptr<EarlyTurn> turn_ =
      device().facts().begins_early() ? EarlyTurn::of(device().context()) : nullptr;
};

}  // namespace

std::unique_ptr<Runner> make_one_kernel_runner(const RunnerRequest& request,
                                               std::shared_ptr<CudaDevice> device,
                                               StepSource source) {
  return std::make_unique<OneKernelRunner>(request, std::move(device), std::move(source));
}

}  // namespace ingot::cuda
