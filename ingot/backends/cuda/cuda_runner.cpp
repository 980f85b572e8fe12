// Runs steps on a GPU: one cooperative kernel for any number of them, or a captured graph of
// kernels for each.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/driver.h"
#include "ingot/backends/cuda/nvrtc.h"
#include "ingot/backends/cuda/step_source.h"
#include "ingot/base/error.h"
#include "ingot/base/trace.h"
#include "ingot/memory/buffer.h"
#include "ingot/runtime/variable_store.h"

namespace ingot::cuda {
namespace {

/// The host's view of Control in device/prelude.inc.
struct ControlRecord {
  std::int64_t step = 0;
  std::int32_t failed = 0;
  std::int32_t busy = 0;
  std::int32_t node = -1;
  std::int32_t rule = 0;
  std::int64_t value = 0;
  std::int64_t index = 0;
};
static_assert(sizeof(ControlRecord) == 40);
// With the barrier's two counters, each in 256 bytes of its own.
constexpr std::size_t kControlBytes = 3 * 256;

// Cycles of a step above which blocks have more to do than to wait.
constexpr double kLongStep = 100e3;

/// Handles that are given back with their owner.
struct Handles {
  CUstream stream = nullptr;
  CUmodule module = nullptr;
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;

  ~Handles() {
    if (stream != nullptr) driver().StreamSynchronize(stream);
    drop_graph();
    if (module != nullptr) driver().ModuleUnload(module);
    if (stream != nullptr) driver().StreamDestroy(stream);
  }
  void drop_graph() {
    if (exec != nullptr) driver().GraphExecDestroy(exec);
    if (graph != nullptr) driver().GraphDestroy(graph);
    exec = nullptr;
    graph = nullptr;
  }
};

/// Host memory that the device writes to.
class Pinned {
 public:
  Pinned(std::shared_ptr<Device> device, std::size_t bytes)
      : device_(std::move(device)), bytes_(bytes), data_(device_->allocate_staging(bytes)) {
    if (data_ == nullptr) {
      throw Error(ErrorKind::user, ErrorCode::out_of_memory,
                  fmt::format("ring of results: needs {} bytes of pinned memory, got none", bytes));
    }
  }
  ~Pinned() { device_->free_staging(data_, bytes_); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  [[nodiscard]] void* data() const noexcept { return data_; }

 private:
  std::shared_ptr<Device> device_;
  std::size_t bytes_;
  void* data_;
};

class CudaRunner final : public Runner {
 public:
  CudaRunner(const RunnerRequest& request, std::shared_ptr<CudaDevice> device)
      : program_(request.program),
        store_(request.store),
        addresses_(request.addresses.begin(), request.addresses.end()),
        device_(std::move(device)),
        source_(step_source(program_, device_->facts(),
                            {request.check_numerics, trace_enabled(Channel::kernels)})),
        capacity_(std::max<std::size_t>(request.ring_capacity, 1)),
        scalars_(count_scalars(program_)),
        ring_(device_, capacity_ * std::max<std::size_t>(scalars_, 1) * sizeof(double)),
        control_(Buffer::allocate(device_, kControlBytes, "control record")),
        feed_buffers_(program_.feeds.size()),
        feed_data_(program_.feeds.size(), nullptr) {
    device_->make_current();
    check(driver().StreamCreate(&handles_.stream, CU_STREAM_DEFAULT), "making a stream");
    device_->fill(control_.data(), std::byte{0}, kControlBytes);
    const ControlRecord fresh;
    device_->copy_to_device(control_.data(), &fresh, sizeof(fresh));
    load();
    if (const std::size_t count = source_.kernels.front().timed.size(); count > 0) {
      counters_ = Buffer::allocate(device_, count * sizeof(std::int64_t), "counters");
      device_->fill(counters_.data(), std::byte{0}, counters_.size());
    }
    for (std::size_t i = 0; i < program_.feeds.size(); ++i) {
      feed_of_root_.emplace_back(program_.feeds[i].slot, i);
    }
  }

  ~CudaRunner() override { report_times(); }

  void run(int steps, std::span<const FeedMemory> feeds) override {
    device_->make_current();
    if (one_kernel()) {
      run_one_kernel(steps, feeds);
    } else {
      for (int step = 0; step < steps; ++step) run_graph(step, feeds);
    }
  }

  std::optional<StepFailure> wait(ScalarSink sink) override {
    device_->make_current();
    check(driver().StreamSynchronize(handles_.stream), "running a step");
    ControlRecord record;
    device_->copy_to_host(&record, control_.data(), sizeof(record));
    const auto kept = static_cast<std::int64_t>(capacity_);
    const auto* values = static_cast<const double*>(ring_.data());
    for (std::int64_t step = std::max(handed_, record.step - kept); step < record.step; ++step) {
      sink(step, {values + static_cast<std::size_t>(step % kept) * scalars_, scalars_});
    }
    handed_ = record.step;
    if (record.failed == 0) return std::nullopt;
    ControlRecord fresh;
    fresh.step = record.step;
    device_->copy_to_device(control_.data(), &fresh, sizeof(fresh));
    return StepFailure{record.step, {record.node, record.rule, record.value, record.index}};
  }

  void rebind(std::span<std::byte* const> addresses) override {
    check(driver().StreamSynchronize(handles_.stream), "waiting");
    addresses_.assign(addresses.begin(), addresses.end());
    handles_.drop_graph();
    bound_ = false;
  }

  [[nodiscard]] const std::byte* address(int slot) const override {
    const int root = program_.root_of(slot);
    for (const auto& [feed_root, feed] : feed_of_root_) {
      if (feed_root == root) return feed_data_[feed];
    }
    return addresses_[static_cast<std::size_t>(slot)];
  }

  [[nodiscard]] int nodes() const noexcept override {
    return static_cast<int>(source_.kernels.size());
  }

 private:
  /// What a profiled kernel counted, a step.
  void report_times() noexcept {
    const std::vector<std::string>& timed = source_.kernels.front().timed;
    if (timed.empty() || handed_ == 0) return;
    try {
      std::vector<std::int64_t> spent(timed.size());
      device_->copy_to_host(spent.data(), counters_.data(), counters_.size());
      for (std::size_t i = 0; i < timed.size(); ++i) {
        trace(Channel::kernels,
              fmt::format("{:9.0f} cycles  {}",
                          static_cast<double>(spent[i]) / static_cast<double>(handed_), timed[i]));
      }
    } catch (const std::exception&) {
      // A report that fails must not end the program.
    }
  }

  struct Loaded {
    CUfunction function = nullptr;
    unsigned blocks = 1;
    std::vector<std::uint64_t> parameters;
  };

  /// Parameters after the pointers and strides, and which of them is the number of steps.
  static constexpr std::size_t kTail = 5;
  static constexpr std::size_t kSteps = 3;

  static std::size_t count_scalars(const Program& program) {
    return static_cast<std::size_t>(
        std::ranges::count_if(program.fetches, [](const auto& f) { return f.ring_index >= 0; }));
  }

  [[nodiscard]] bool one_kernel() const noexcept { return source_.kernels.front().cooperative; }

  void load() {
    const std::vector<char> code = compile_kernels(source_.text, device_->facts().arch);
    check(driver().ModuleLoadData(&handles_.module, code.data()), "loading kernels");
    for (const KernelText& text : source_.kernels) {
      Loaded& kernel = loaded_.emplace_back();
      check(driver().ModuleGetFunction(&kernel.function, handles_.module, text.name.c_str()),
            "finding a kernel");
      check(
          driver().FuncSetAttribute(
              kernel.function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, text.shared_bytes),
          "asking for shared memory");
      kernel.blocks = static_cast<unsigned>(std::max<std::int64_t>(text.blocks, 1));
      if (text.cooperative) {
        int fit = 0;
        check(driver().OccupancyMaxActiveBlocksPerMultiprocessor(
                  &fit, kernel.function, kThreads, static_cast<std::size_t>(text.shared_bytes)),
              "asking for occupancy");
        // A second block a multiprocessor hides latency in long stages; where barriers rule, more
        // blocks only wait longer for one another.
        const int per_processor = source_.cycles > kLongStep ? std::clamp(fit, 1, 2) : 1;
        const auto most = static_cast<unsigned>(per_processor * device_->facts().multiprocessors);
        kernel.blocks = std::min(kernel.blocks, most);
      }
      const std::size_t feeds = std::max<std::size_t>(program_.feeds.size(), 1);
      kernel.parameters.resize(std::max<std::size_t>(text.pointers.size(), 1) + feeds + kTail);
    }
  }

  /// Fills in every parameter that a call does not change.
  void bind() {
    for (std::size_t k = 0; k < loaded_.size(); ++k) {
      const KernelText& text = source_.kernels[k];
      Loaded& kernel = loaded_[k];
      for (std::size_t i = 0; i < text.pointers.size(); ++i) {
        const Pointer& pointer = text.pointers[i];
        const std::byte* data =
            pointer.slot < 0 ? store_.scratch() + pointer.offset : address(pointer.slot);
        kernel.parameters[i] = reinterpret_cast<std::uint64_t>(data);
      }
      std::uint64_t* const tail = kernel.parameters.data() + kernel.parameters.size() - kTail;
      tail[0] = reinterpret_cast<std::uint64_t>(control_.data());
      tail[1] = reinterpret_cast<std::uint64_t>(ring_.data());
      tail[2] = capacity_;
      tail[kSteps] = 1;
      tail[4] = reinterpret_cast<std::uint64_t>(counters_.data());
    }
    bound_ = true;
  }

  void launch(std::size_t k) {
    Loaded& kernel = loaded_[k];
    const auto shared = static_cast<unsigned>(source_.kernels[k].shared_bytes);
    void* arguments[] = {kernel.parameters.data()};
    const CUresult result =
        source_.kernels[k].cooperative
            ? driver().LaunchCooperativeKernel(kernel.function, kernel.blocks, 1, 1, kThreads, 1, 1,
                                               shared, handles_.stream, arguments)
            : driver().LaunchKernel(kernel.function, kernel.blocks, 1, 1, kThreads, 1, 1, shared,
                                    handles_.stream, arguments, nullptr);
    if (result != CUDA_SUCCESS) check(result, "launching " + source_.kernels[k].what.front());
  }

  /// The feed's own device memory, of at least `bytes`.
  std::byte* feed_buffer(std::size_t feed, std::int64_t bytes) {
    Buffer& buffer = feed_buffers_[feed];
    if (buffer.size() < static_cast<std::size_t>(bytes)) {
      check(driver().StreamSynchronize(handles_.stream), "waiting");
      buffer.reset();
      buffer = Buffer::allocate(device_, static_cast<std::size_t>(bytes),
                                "feed \"" + program_.feeds[feed].name + "\"");
    }
    return static_cast<std::byte*>(buffer.data());
  }

  void copy_feed(std::byte* target, const FeedMemory& feed, const std::byte* data,
                 std::int64_t bytes) {
    if (bytes == 0) return;
    const auto size = static_cast<std::size_t>(bytes);
    check(feed.on_device
              ? driver().MemcpyDtoDAsync(device_pointer(target), device_pointer(data), size,
                                         handles_.stream)
              : driver().MemcpyHtoDAsync(device_pointer(target), data, size, handles_.stream),
          "copying a feed");
  }

  void run_one_kernel(int steps, std::span<const FeedMemory> feeds) {
    if (!bound_) bind();
    Loaded& kernel = loaded_.front();
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      const FeedMemory& feed = feeds[i];
      if (feed.on_device) {
        feed_data_[i] = const_cast<std::byte*>(feed.data);
      } else {
        const std::int64_t bytes = program_.feeds[i].type.bytes() * (feed.stride > 0 ? steps : 1);
        feed_data_[i] = feed_buffer(i, std::max<std::int64_t>(bytes, 1));
        copy_feed(feed_data_[i], feed, feed.data, bytes);
      }
      const auto& pointers = source_.kernels.front().pointers;
      const auto it = std::ranges::find(pointers, Pointer{program_.feeds[i].slot, 0});
      if (it != pointers.end()) {
        kernel.parameters[static_cast<std::size_t>(it - pointers.begin())] =
            reinterpret_cast<std::uint64_t>(feed_data_[i]);
      }
      kernel.parameters[std::max<std::size_t>(pointers.size(), 1) + i] =
          static_cast<std::uint64_t>(feed.stride);
    }
    kernel.parameters[kernel.parameters.size() - kTail + kSteps] =
        static_cast<std::uint64_t>(steps);
    launch(0);
    // fetched() of a feed means the last step's.
    for (std::size_t i = 0; i < feeds.size(); ++i) feed_data_[i] += feeds[i].stride * (steps - 1);
  }

  void run_graph(int step, std::span<const FeedMemory> feeds) {
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      const std::int64_t bytes = program_.feeds[i].type.bytes();
      std::byte* target = feed_buffer(i, std::max<std::int64_t>(bytes, 1));
      if (target != feed_data_[i]) {
        feed_data_[i] = target;
        handles_.drop_graph();
        bound_ = false;
      }
      copy_feed(target, feeds[i], feeds[i].data + feeds[i].stride * step, bytes);
    }
    if (!bound_) bind();
    if (handles_.exec == nullptr) capture();
    check(driver().GraphLaunch(handles_.exec, handles_.stream), "launching the step");
  }

  void capture() {
    check(driver().StreamBeginCapture(handles_.stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
          "capturing the step");
    for (std::size_t k = 0; k < loaded_.size(); ++k) launch(k);
    check(driver().StreamEndCapture(handles_.stream, &handles_.graph), "capturing the step");
    check(driver().GraphInstantiateWithFlags(&handles_.exec, handles_.graph, 0),
          "making the step's graph");
  }

  const Program& program_;
  VariableStore& store_;
  std::vector<std::byte*> addresses_;
  std::shared_ptr<CudaDevice> device_;
  StepSource source_;
  std::size_t capacity_;
  std::size_t scalars_;
  Pinned ring_;
  Buffer control_;
  Buffer counters_;  ///< of a profiled kernel
  std::vector<Buffer> feed_buffers_;
  std::vector<std::byte*> feed_data_;  ///< where each feed lay in the last step
  std::vector<std::pair<int, std::size_t>> feed_of_root_;
  std::vector<Loaded> loaded_;
  bool bound_ = false;
  std::int64_t handed_ = 0;  ///< steps whose scalars were handed over
  Handles handles_;          // goes first: it waits for the device
};

}  // namespace

std::unique_ptr<Runner> make_cuda_runner(const RunnerRequest& request,
                                         std::shared_ptr<CudaDevice> device) {
  return std::make_unique<CudaRunner>(request, std::move(device));
}

}  // namespace ingot::cuda
