// Runs each step as a captured graph of kernels and libraries' work.
#include <algorithm>
#include <memory>
#include <utility>

#include "ingot/backends/cuda/driver/driver.h"
#include "ingot/backends/cuda/step/feed_ring.h"
#include "ingot/backends/cuda/step/kernel_timer.h"
#include "ingot/backends/cuda/step/lanes.h"
#include "ingot/backends/cuda/step/step_runner.h"
#include "ingot/base/tool_range.h"
#include "ingot/base/trace.h"

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

// One lane for what the step waits for, and others for what has time.
constexpr int kLanes = 3;
// Below so many bytes a copy of a feed takes no longer than to change its readers' parameters.
constexpr std::int64_t kLeastInPlace = 1 << 20;
// A kernel that starts before the one ahead of it has ended hides its launch, and its blocks take
// places that a side lane could use: worth it between kernels that take no longer than this.
constexpr double kEarlySeconds = 5e-6;
// Of a feed that kernels read where it lies: they load vectors.
constexpr std::uintptr_t kAlignment = 16;

/// Streams and events that exist to be captured.
class CaptureHandles {
 public:
  explicit CaptureHandles(std::size_t side_lanes) : streams_(side_lanes, nullptr) {
    for (CUstream& stream : streams_) {
      check(driver().StreamCreate(&stream, CU_STREAM_NON_BLOCKING), "making a stream");
    }
  }
  ~CaptureHandles() {
    for (const CUevent event : events_) driver().EventDestroy(event);
    for (const CUstream stream : streams_) {
      if (stream != nullptr) driver().StreamDestroy(stream);
    }
  }
  CaptureHandles(const CaptureHandles&) = delete;
  CaptureHandles& operator=(const CaptureHandles&) = delete;

  [[nodiscard]] CUstream side(std::size_t i) const { return streams_[i]; }
  [[nodiscard]] std::size_t sides() const { return streams_.size(); }
  /// A new event at the end of what `stream` has so far.
  CUevent record(CUstream stream) {
    CUevent event = nullptr;
    check(driver().EventCreate(&event, CU_EVENT_DISABLE_TIMING), "making an event");
    events_.push_back(event);
    check(driver().EventRecord(event, stream), "recording an event");
    return event;
  }

 private:
  std::vector<CUstream> streams_;
  std::vector<CUevent> events_;
};

class GraphRunner final : public StepRunner {
 public:
  using StepRunner::StepRunner;
  ~GraphRunner() override { driver().StreamSynchronize(stream()); }

  void run(int steps, std::span<const FeedMemory> feeds) override {
    device().make_current();
    for (int step = 0; step < steps; ++step) run_step(step, feeds);
  }

  void rebind(std::span<std::byte* const> addresses) override {
    StepRunner::rebind(addresses);
    graph_.drop();
  }

  [[nodiscard]] std::vector<KernelTime> kernel_times() const override {
    if (timer_ == nullptr) return {};
    const std::vector<KernelText>& kernels = source().kernels;
    const std::vector<LaneNode> nodes = assign_lanes(kernels, kLanes);
    const std::vector<double> seconds = timer_->seconds();
    std::vector<KernelTime> times(kernels.size());
    for (std::size_t k = 0; k < kernels.size(); ++k) {
      KernelTime& time = times[k];
      time.what = kernels[k].what.front();
      time.seconds = seconds[k];
      time.flops = kernels[k].flops;
      for (const Touch& touch : kernels[k].touches) {
        time.bytes += static_cast<double>(touch.end - touch.begin);
      }
      time.floor_seconds =
          device().facts().floor_seconds(time.flops, kernels[k].flops_of_cycle, time.bytes);
      time.lane = nodes[k].lane;
    }
    return times;
  }

 protected:
  /// A step reads its feeds where the captured copies put them, or where they lie.
  [[nodiscard]] std::int64_t feed_bytes(std::size_t i, int, const FeedMemory& feed) const override {
    if (is_in_place(i, feed)) return 0;
    return std::max<std::int64_t>(program().feeds[i].type.bytes(), 1);
  }
  [[nodiscard]] std::int64_t staged_bytes(std::size_t i, int,
                                          const FeedMemory& feed) const override {
    return feed.on_device ? 0 : FeedRing::device_bytes(program().feeds[i].type.bytes());
  }

 private:
  /// A feed on its way into the step's own memory, a node whose source may change; or in place,
  /// where parameters of the kernels that read it change.
  struct FeedNode {
    CUgraphNode node = nullptr;
    const std::byte* source = nullptr;
    std::size_t bytes = 0;
    bool in_place = false;
  };

  /// Whether a step's kernels read the feed where it lies: a large one that no library reads.
  [[nodiscard]] bool is_in_place(std::size_t i, const FeedMemory& feed) const {
    if (program().feeds[i].type.bytes() < kLeastInPlace) return false;
    if (feed.on_device && (reinterpret_cast<std::uintptr_t>(feed.data) % kAlignment != 0 ||
                           feed.stride % static_cast<std::int64_t>(kAlignment) != 0)) {
      return false;
    }
    return std::ranges::none_of(source().kernels, [&](const KernelText& text) {
      return text.library != nullptr && reads(text, i);
    });
  }
  [[nodiscard]] bool reads(const KernelText& text, std::size_t feed) const {
    return std::ranges::any_of(text.pointers, [&](const Pointer& pointer) {
      return pointer.slot == program().feeds[feed].slot;
    });
  }

  void run_step(int step, std::span<const FeedMemory> feeds) {
    place_feeds(feeds);
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      const std::byte* const data = feeds[i].data + feeds[i].stride * step;
      set_source(feeds_[i], i, feeds[i].on_device ? data : stage(i, data));
    }
    if (!bound()) bind();
    if (trace_enabled(Channel::launches) || (MemoryTrace::on() && !ran_apart_)) {
      run_apart();
    } else {
      if (graph_.exec == nullptr) capture();
      check(driver().GraphLaunch(graph_.exec, stream()), "launching the step");
    }
    if (timer_ != nullptr) timer_->add_step(stream());
    rings_.release(stream());
  }

  /// Gives feeds memory of the step's own unless they are read where they lie.
  void place_feeds(std::span<const FeedMemory> feeds) {
    const bool fresh = feeds_.empty();
    feeds_.resize(program().feeds.size());
    for (std::size_t i = 0; i < feeds_.size(); ++i) {
      const bool in_place = is_in_place(i, feeds[i]);
      if (!fresh && in_place == feeds_[i].in_place) continue;
      feeds_[i].bytes = static_cast<std::size_t>(program().feeds[i].type.bytes());
      feeds_[i].in_place = in_place;
      feeds_[i].source = nullptr;
      if (!in_place) feed_data()[i] = feed_buffer(i, feed_bytes(i, 1, feeds[i]));
      graph_.drop();
      unbind();
    }
  }

  const std::byte* stage(std::size_t i, const std::byte* data) {
    const std::size_t bytes = feeds_[i].bytes;
    return bytes == 0 ? data : rings_.copy(i, program().feeds[i].name, data, bytes, stream());
  }

  void set_source(FeedNode& feed, std::size_t i, const std::byte* source) {
    if (feed.source == source) return;
    feed.source = source;
    if (feed.in_place) return set_readers(i, source);
    if (graph_.exec == nullptr) return;
    if (feed.node == nullptr) return graph_.drop();
    CUDA_MEMCPY3D copy{};
    copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.srcDevice = device_pointer(source);
    copy.dstDevice = device_pointer(feed_data()[i]);
    copy.WidthInBytes = feed.bytes;
    copy.Height = copy.Depth = 1;
    check(driver().GraphExecMemcpyNodeSetParams(graph_.exec, feed.node, &copy, device().context()),
          "moving a feed");
  }

  /// Tells the kernels that read a feed in place where it lies.
  void set_readers(std::size_t feed, const std::byte* data) {
    feed_data()[feed] = const_cast<std::byte*>(data);
    if (!bound()) return;
    for (std::size_t k = 0; k < source().kernels.size(); ++k) {
      const KernelText& text = source().kernels[k];
      if (!reads(text, feed)) continue;
      Loaded& kernel = loaded()[k];
      for (std::size_t p = 0; p < text.pointers.size(); ++p) {
        if (text.pointers[p].slot != program().feeds[feed].slot) continue;
        kernel.parameters[p] = reinterpret_cast<std::uint64_t>(address_of(text.pointers[p]));
      }
      if (graph_.exec != nullptr) set_parameters(k);
    }
  }

  void set_parameters(std::size_t k) {
    if (readers_[k] == nullptr) return graph_.drop();
    Loaded& kernel = loaded()[k];
    void* arguments[] = {kernel.parameters.data()};
    CUDA_KERNEL_NODE_PARAMS node{};
    node.func = kernel.function;
    node.gridDimX = kernel.blocks;
    node.gridDimY = node.gridDimZ = 1;
    node.blockDimX = static_cast<unsigned>(source().kernels[k].threads);
    node.blockDimY = node.blockDimZ = 1;
    node.sharedMemBytes = static_cast<unsigned>(source().kernels[k].shared_bytes);
    node.kernelParams = arguments;
    check(driver().GraphExecKernelNodeSetParams(graph_.exec, readers_[k], &node), "moving a feed");
  }

  /// The step kernel by kernel, to see which one fails or makes the driver take memory.
  void run_apart() {
    ran_apart_ = true;
    mark_memory("memory of feeds");
    for (std::size_t i = 0; i < feeds_.size(); ++i) copy_feed_in(i);
    for (std::size_t k = 0; k < source().kernels.size(); ++k) {
      const std::string& what = source().kernels[k].what.front();
      if (trace_enabled(Channel::launches)) trace(Channel::launches, what);
      launch_node(k, stream(), false);
      check(driver().StreamSynchronize(stream()), "running " + what);
      mark_memory(what);
    }
  }

  void copy_feed_in(std::size_t i) {
    if (feeds_[i].bytes == 0 || feeds_[i].in_place) return;
    check(driver().MemcpyDtoDAsync(device_pointer(feed_data()[i]), device_pointer(feeds_[i].source),
                                   feeds_[i].bytes, stream()),
          "copying a feed");
  }

  void capture_feeds() {
    for (std::size_t i = 0; i < feeds_.size(); ++i) {
      FeedNode& feed = feeds_[i];
      if (feed.bytes == 0 || feed.in_place) continue;
      copy_feed_in(i);
      feed.node = last_captured(stream());
    }
  }

  /// The node that the stream was given last; null where there are several.
  [[nodiscard]] static CUgraphNode last_captured(CUstream stream) {
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    const CUgraphNode* last = nullptr;
    std::size_t count = 0;
    check(driver().StreamGetCaptureInfo(stream, &status, nullptr, nullptr, &last, nullptr, &count),
          "capturing a feed");
    return count == 1 ? last[0] : nullptr;
  }

  [[nodiscard]] bool reads_in_place(const KernelText& text) const {
    for (std::size_t i = 0; i < feeds_.size(); ++i) {
      if (feeds_[i].in_place && reads(text, i)) return true;
    }
    return false;
  }

  void launch_node(std::size_t k, CUstream stream, bool after_kernel) {
    launch(source().kernels[k], loaded()[k], stream, after_kernel);
  }

  /// A kernel of the graph, of which it is noted whether a feed may move.
  void capture_kernel(std::size_t k, CUstream stream, bool after_kernel) {
    launch_node(k, stream, after_kernel);
    if (reads_in_place(source().kernels[k])) readers_[k] = last_captured(stream);
  }

  void capture() {
    const ToolRange range("ingot capture");
    check(driver().StreamBeginCapture(stream(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
          "capturing the step");
    CaptureHandles handles(kLanes - 1);
    readers_.assign(source().kernels.size(), nullptr);
    try {
      capture_lanes(handles);
    } catch (...) {
      // What was captured is of no use, and the stream would stay in capture.
      driver().StreamEndCapture(stream(), &graph_.graph);
      graph_.drop();
      throw;
    }
    check(driver().StreamEndCapture(stream(), &graph_.graph), "capturing the step");
    check(driver().GraphInstantiateWithFlags(&graph_.exec, graph_.graph, 0),
          "making the step's graph");
    mark_memory("the step's graph");
  }

  /// One after the other, so that each has the device to itself.
  void capture_timed() {
    if (timer_ == nullptr) timer_ = std::make_unique<KernelTimer>(source().kernels.size());
    capture_feeds();
    timer_->mark(0, stream());
    for (std::size_t k = 0; k < source().kernels.size(); ++k) {
      capture_kernel(k, stream(), false);
      timer_->mark(k + 1, stream());
    }
  }

  void capture_lanes(CaptureHandles& handles) {
    if (profiled()) return capture_timed();
    capture_feeds();
    const std::vector<LaneNode> nodes = assign_lanes(source().kernels, kLanes);
    const CUevent start = handles.record(stream());
    const bool early_starts = device().facts().begins_early();
    std::vector<bool> begun(kLanes, false);
    std::vector<bool> after_brief(kLanes, false);
    std::vector<CUevent> done(nodes.size(), nullptr);
    for (std::size_t k = 0; k < nodes.size(); ++k) {
      const auto lane = static_cast<std::size_t>(nodes[k].lane);
      const CUstream on = lane == 0 ? stream() : handles.side(lane - 1);
      if (lane > 0 && !begun[lane]) {
        check(driver().StreamWaitEvent(on, start, 0), "beginning a lane");
        begun[lane] = true;
      }
      for (const int other : nodes[k].waits) {
        check(driver().StreamWaitEvent(on, done[static_cast<std::size_t>(other)], 0),
              "waiting for a lane");
      }
      const KernelText& kernel = source().kernels[k];
      const bool brief =
          early_starts && kernel.library == nullptr && kernel.seconds < kEarlySeconds;
      capture_kernel(k, on, brief && after_brief[lane] && nodes[k].waits.empty());
      after_brief[lane] = brief;
      if (nodes[k].awaited) done[k] = handles.record(on);
    }
    for (std::size_t lane = 1; lane < begun.size(); ++lane) {
      if (!begun[lane]) continue;
      check(driver().StreamWaitEvent(stream(), handles.record(handles.side(lane - 1)), 0),
            "ending a lane");
    }
  }

  std::vector<FeedNode> feeds_;
  std::vector<CUgraphNode> readers_;  ///< by kernel, of those that read a feed in place
  FeedRings rings_{shared_device()};
  GraphHandles graph_;
  std::unique_ptr<KernelTimer> timer_;  ///< of a profile
  bool ran_apart_ = false;
};

}  // namespace

std::unique_ptr<Runner> make_graph_runner(const RunnerRequest& request,
                                          std::shared_ptr<CudaDevice> device, StepSource source) {
  return std::make_unique<GraphRunner>(request, std::move(device), std::move(source));
}

}  // namespace ingot::cuda
