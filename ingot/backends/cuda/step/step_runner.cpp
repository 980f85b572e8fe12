#include "ingot/backends/cuda/step/step_runner.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "ingot/backends/cuda/driver/driver.h"
#include "ingot/backends/cuda/driver/nvrtc.h"
#include "ingot/base/error.h"
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
  std::int32_t inner = -1;
  std::int32_t reserved = 0;
};
static_assert(sizeof(ControlRecord) == 48);
// With the barrier's counter, in 256 bytes of its own. The tickets follow.
constexpr std::size_t kControlBytes = 2 * 256;

// Cycles of a step above which blocks have more to do than to wait.
constexpr double kLongStep = 100e3;

std::size_t count_scalars(const Program& program) {
  return static_cast<std::size_t>(
      std::ranges::count_if(program.fetches, [](const auto& f) { return f.ring_index >= 0; }));
}

}  // namespace

StepHandles::~StepHandles() {
  if (stream != nullptr) driver().StreamSynchronize(stream);
  for (const CUmodule module : modules) {
    if (module != nullptr) driver().ModuleUnload(module);
  }
  if (stream != nullptr) driver().StreamDestroy(stream);
}

Pinned::Pinned(std::shared_ptr<Device> device, std::size_t bytes, std::string_view what)
    : device_(std::move(device)), bytes_(bytes), data_(device_->allocate_staging(bytes)) {
  if (data_ == nullptr) {
    throw Error(ErrorKind::user, ErrorCode::out_of_memory,
                fmt::format("{}: needs {} bytes of pinned memory, got none", what, bytes));
  }
}

StepRunner::StepRunner(const RunnerRequest& request, std::shared_ptr<CudaDevice> device,
                       StepSource source)
    : program_(request.program),
      store_(request.store),
      addresses_(request.addresses.begin(), request.addresses.end()),
      device_(std::move(device)),
      source_(std::move(source)),
      capacity_(std::max<std::size_t>(request.ring_capacity, 1)),
      scalars_(count_scalars(program_)),
      profile_(request.profile),
      ring_(device_, capacity_ * std::max<std::size_t>(scalars_, 1) * sizeof(double),
            "ring of results"),
      control_(Buffer::allocate(device_,
                                kControlBytes + static_cast<std::size_t>(source_.ticket_bytes),
                                "control record")),
      feed_buffers_(program_.feeds.size()),
      feed_data_(program_.feeds.size(), nullptr) {
  device_->make_current();
  // Before side lanes, which have the least priority; what is beyond the range is cut to it.
  constexpr int kFirst = -100;
  check(driver().StreamCreateWithPriority(&handles_.stream, CU_STREAM_DEFAULT, kFirst),
        "making a stream");
  device_->fill(control_.data(), std::byte{0}, control_.size());
  const ControlRecord fresh;
  device_->copy_to_device(control_.data(), &fresh, sizeof(fresh));
  mark_memory("what was planned, and libraries");
  load();
  mark_memory("modules of kernels");
  if (const std::size_t count = source_.kernels.front().timed.size(); count > 0) {
    counters_ = Buffer::allocate(device_, count * sizeof(std::int64_t), "counters");
    device_->fill(counters_.data(), std::byte{0}, counters_.size());
  }
  for (std::size_t i = 0; i < program_.feeds.size(); ++i) {
    feed_of_root_.emplace_back(program_.feeds[i].slot, i);
  }
}

std::optional<StepFailure> StepRunner::wait(ScalarSink sink) {
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
  return StepFailure{record.step,
                     {record.node, record.rule, record.value, record.index, record.inner}};
}

void StepRunner::rebind(std::span<std::byte* const> addresses) {
  check(driver().StreamSynchronize(handles_.stream), "waiting");
  addresses_.assign(addresses.begin(), addresses.end());
  bound_ = false;
}

const std::byte* StepRunner::address(int slot) const {
  const int root = program_.root_of(slot);
  for (const auto& [feed_root, feed] : feed_of_root_) {
    if (feed_root == root) return feed_data_[feed];
  }
  return addresses_[static_cast<std::size_t>(slot)];
}

bool StepRunner::owns(const std::byte* data, std::int64_t bytes) const {
  const auto overlaps = [&](const std::byte* own, std::int64_t size) {
    return data < own + size && own < data + bytes;
  };
  if (overlaps(store_.scratch(), store_.scratch_bytes())) return true;
  for (std::size_t i = 0; i < program_.slots.size(); ++i) {
    const Slot& slot = program_.slots[i];
    if (slot.storage == Slot::Storage::variable && slot.root == static_cast<int>(i) &&
        overlaps(addresses_[i], slot.bytes())) {
      return true;
    }
  }
  return false;
}

std::vector<MemoryOwner> StepRunner::memory(int steps, std::span<const FeedMemory> feeds) const {
  std::vector<MemoryOwner> owners{{"control record", static_cast<std::int64_t>(control_.size())}};
  if (!counters_.empty()) {
    owners.push_back({"counters of a profile", static_cast<std::int64_t>(counters_.size())});
  }
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    const std::int64_t bytes = feed_bytes(i, steps, feeds[i]);
    const std::int64_t staged = staged_bytes(i, steps, feeds[i]);
    const std::string name = "feed \"" + program_.feeds[i].name + "\"";
    if (bytes > 0) owners.push_back({name, bytes});
    if (staged > 0) owners.push_back({name + ", on its way from the host", staged});
  }
  return owners;
}

std::vector<KernelTime> StepRunner::kernel_times() const {
  const std::vector<TimedPart>& timed = source_.kernels.front().timed;
  if (timed.empty() || handed_ == 0) return {};
  std::vector<std::int64_t> spent(timed.size());
  device_->copy_to_host(spent.data(), counters_.data(), counters_.size());
  std::vector<KernelTime> times(timed.size());
  for (std::size_t i = 0; i < timed.size(); ++i) {
    times[i].what = timed[i].what;
    times[i].flops = timed[i].flops;
    times[i].bytes = timed[i].bytes;
    // Stages of the one kernel use no tensor cores.
    times[i].floor_seconds =
        device_->facts().floor_seconds(timed[i].flops, kVectorFlops, timed[i].bytes);
    times[i].seconds = static_cast<double>(spent[i]) /
                       (static_cast<double>(handed_) * device_->facts().cycles_per_second);
  }
  return times;
}

void StepRunner::load() {
  for (const auto& [code, cached] : compile_kernels(source_.texts, device_->facts().arch)) {
    ++(cached ? modules_.cached : modules_.compiled);
    check(driver().ModuleLoadData(&handles_.modules.emplace_back(nullptr), code.data()),
          "loading kernels");
  }
  load(source_.kernels, loaded_);
  load(source_.refresh, refresh_);
}

void StepRunner::load(const std::vector<KernelText>& texts, std::vector<Loaded>& kernels) {
  for (const KernelText& text : texts) {
    Loaded& kernel = kernels.emplace_back();
    if (text.library != nullptr) continue;
    check(driver().ModuleGetFunction(&kernel.function, handles_.modules[text.module],
                                     text.name.c_str()),
          "finding a kernel");
    check(driver().FuncSetAttribute(
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

const std::byte* StepRunner::address_of(const Pointer& pointer) const {
  if (pointer.slot == kTickets) {
    return static_cast<const std::byte*>(control_.data()) + kControlBytes + pointer.offset;
  }
  return pointer.slot < 0 ? store_.scratch() + pointer.offset : address(pointer.slot);
}

void StepRunner::bind() {
  bind(source_.kernels, loaded_);
  bind(source_.refresh, refresh_);
  bound_ = true;
}

void StepRunner::bind(const std::vector<KernelText>& texts, std::vector<Loaded>& kernels) const {
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    const KernelText& text = texts[k];
    if (text.library != nullptr) continue;
    Loaded& kernel = kernels[k];
    for (std::size_t i = 0; i < text.pointers.size(); ++i) {
      kernel.parameters[i] = reinterpret_cast<std::uint64_t>(address_of(text.pointers[i]));
    }
    std::uint64_t* const tail = kernel.parameters.data() + kernel.parameters.size() - kTail;
    tail[0] = reinterpret_cast<std::uint64_t>(control_.data());
    tail[1] = reinterpret_cast<std::uint64_t>(ring_.data());
    tail[2] = capacity_;
    tail[kSteps] = 1;
    tail[4] = reinterpret_cast<std::uint64_t>(counters_.data());
  }
}

void StepRunner::launch(const KernelText& text, Loaded& kernel, CUstream stream,
                        bool after_kernel) const {
  if (text.library != nullptr) {
    std::vector<std::byte*> memory;
    for (const Pointer& pointer : text.pointers) {
      memory.push_back(const_cast<std::byte*>(address_of(pointer)));
    }
    text.library->enqueue(stream, memory);
    return;
  }
  void* arguments[] = {kernel.parameters.data()};
  CUlaunchAttribute early{};
  early.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
  early.value.programmaticStreamSerializationAllowed = 1;
  CUlaunchConfig config{};
  config.gridDimX = kernel.blocks;
  config.gridDimY = config.gridDimZ = 1;
  config.blockDimX = static_cast<unsigned>(text.threads);
  config.blockDimY = config.blockDimZ = 1;
  config.sharedMemBytes = static_cast<unsigned>(text.shared_bytes);
  config.hStream = stream;
  config.attrs = &early;
  config.numAttrs = after_kernel ? 1 : 0;
  const CUresult result = driver().LaunchKernelEx(&config, kernel.function, arguments, nullptr);
  if (result == CUDA_SUCCESS) return;
  check(result, "launching " + (text.cooperative ? "the step" : text.what.front()));
}

void StepRunner::refresh() {
  device_->make_current();
  if (!bound_) bind();
  for (std::size_t k = 0; k < refresh_.size(); ++k) {
    launch(source_.refresh[k], refresh_[k], handles_.stream, false);
  }
}

std::byte* StepRunner::feed_buffer(std::size_t feed, std::int64_t bytes) {
  Buffer& buffer = feed_buffers_[feed];
  if (buffer.size() < static_cast<std::size_t>(bytes)) {
    check(driver().StreamSynchronize(handles_.stream), "waiting");
    buffer.reset();
    buffer = Buffer::allocate(device_, static_cast<std::size_t>(bytes),
                              "feed \"" + program_.feeds[feed].name + "\"");
  }
  return static_cast<std::byte*>(buffer.data());
}

}  // namespace ingot::cuda
