// Runs steps as one cooperative kernel.
#include <algorithm>
#include <utility>

#include "ingot/backends/cuda/driver/driver.h"
#include "ingot/backends/cuda/step/step_runner.h"

namespace ingot::cuda {
namespace {

class OneKernelRunner final : public StepRunner {
 public:
  using StepRunner::StepRunner;

  void run(int steps, std::span<const FeedMemory> feeds) override {
    device().make_current();
    if (!bound()) bind();
    Loaded& kernel = loaded().front();
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      const FeedMemory& feed = feeds[i];
      if (feed.on_device) {
        feed_data()[i] = const_cast<std::byte*>(feed.data);
      } else {
        feed_data()[i] = feed_buffer(i, feed_bytes(i, steps, feed));
        copy_feed(feed_data()[i], feed, feed.data, bytes_of(i, steps, feed));
      }
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
    launch();
    // fetched() of a feed means the last step's.
    for (std::size_t i = 0; i < feeds.size(); ++i) feed_data()[i] += feeds[i].stride * (steps - 1);
  }

 protected:
  [[nodiscard]] std::int64_t feed_bytes(std::size_t i, int steps,
                                        const FeedMemory& feed) const override {
    return feed.on_device ? 0 : std::max<std::int64_t>(bytes_of(i, steps, feed), 1);
  }

 private:
  /// Of all steps where they are stacked.
  [[nodiscard]] std::int64_t bytes_of(std::size_t i, int steps, const FeedMemory& feed) const {
    return program().feeds[i].type.bytes() * (feed.stride > 0 ? steps : 1);
  }

  void launch() {
    Loaded& kernel = loaded().front();
    const KernelText& text = source().kernels.front();
    void* arguments[] = {kernel.parameters.data()};
    check(driver().LaunchCooperativeKernel(kernel.function, kernel.blocks, 1, 1, kThreads, 1, 1,
                                           static_cast<unsigned>(text.shared_bytes), stream(),
                                           arguments),
          "launching the step");
  }
};

}  // namespace

std::unique_ptr<Runner> make_one_kernel_runner(const RunnerRequest& request,
                                               std::shared_ptr<CudaDevice> device,
                                               StepSource source) {
  return std::make_unique<OneKernelRunner>(request, std::move(device), std::move(source));
}

}  // namespace ingot::cuda
