// A Device whose work happens when the test says so and whose memory is as small as it wants.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/memory/device.h"

namespace ingot {

/// Executes nothing until run_until or run_all.
class FakeStream final : public Stream {
 public:
  explicit FakeStream(std::shared_ptr<Device> device) : device_(std::move(device)) {}

  [[nodiscard]] Device& device() const noexcept override { return *device_; }
  void copy_to_device(void* target, const void* source, std::size_t bytes) override {
    enqueue([=] { std::memcpy(target, source, bytes); });
  }
  void copy_to_host(void* target, const void* source, std::size_t bytes) override {
    copy_to_device(target, source, bytes);
  }
  void copy_on_device(void* target, const void* source, std::size_t bytes) override {
    copy_to_device(target, source, bytes);
  }
  void fill(void* target, std::byte value, std::size_t bytes) override {
    enqueue([=] { std::memset(target, std::to_integer<int>(value), bytes); });
  }
  void call_on_host(HostFunction function, void* context) override {
    enqueue([=] { function(context); });
  }
  void wait_for(const Event& event) override {
    enqueue([event] { event.wait(); });
  }
  /// The host waits: the fake device gets on with it, or fails.
  void synchronize() override {
    if (fails) throw user_error(ErrorCode::io, "device \"fake\": lost");
    run_all();
  }

  void run_all() {
    const std::lock_guard lock(mutex_);
    for (; done_ < work_.size(); ++done_) work_[done_]();
    finished_ = done_;
  }

  std::atomic<bool> fails{false};

 protected:
  std::uint64_t record_ticket() override {
    const std::lock_guard lock(mutex_);
    work_.emplace_back([] {});
    return work_.size();
  }
  [[nodiscard]] bool ticket_done(std::uint64_t ticket) noexcept override {
    return finished_.load() >= ticket;
  }
  void wait_ticket(std::uint64_t ticket) override {
    if (!ticket_done(ticket)) synchronize();
  }

 private:
  void enqueue(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }

  std::shared_ptr<Device> device_;
  std::mutex mutex_;
  std::vector<std::function<void()>> work_;
  std::size_t done_ = 0;
  std::atomic<std::uint64_t> finished_{0};
};

class FakeDevice final : public Device, public std::enable_shared_from_this<FakeDevice> {
 public:
  explicit FakeDevice(std::size_t total, bool host_visible = true)
      : total_(total), host_visible_(host_visible) {}

  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] DeviceKind kind() const noexcept override { return DeviceKind::cuda; }
  [[nodiscard]] bool host_visible() const noexcept override { return host_visible_; }
  [[nodiscard]] std::size_t alignment() const noexcept override { return 64; }
  [[nodiscard]] MemoryInfo memory_info() const override { return {total_, total_ - used_}; }

  void copy_to_device(void* target, const void* source, std::size_t bytes) override {
    std::memcpy(target, source, bytes);
  }
  void copy_to_host(void* target, const void* source, std::size_t bytes) override {
    std::memcpy(target, source, bytes);
  }
  void fill(void* target, std::byte value, std::size_t bytes) override {
    std::memset(target, std::to_integer<int>(value), bytes);
  }
  [[nodiscard]] std::shared_ptr<Stream> create_stream() override { return fake_stream(); }
  [[nodiscard]] std::shared_ptr<FakeStream> fake_stream() {
    return std::make_shared<FakeStream>(shared_from_this());
  }
  [[nodiscard]] std::size_t used() const { return used_; }

 protected:
  void* do_allocate(std::size_t bytes) noexcept override {
    std::size_t before = used_.load();
    do {
      if (bytes > total_ - before) return nullptr;
    } while (!used_.compare_exchange_weak(before, before + bytes));
    return ::operator new(bytes, std::align_val_t{64});
  }
  void do_free(void* data, std::size_t bytes) noexcept override {
    used_ -= bytes;
    ::operator delete(data, std::align_val_t{64});
  }
  void* do_allocate_staging(std::size_t bytes) noexcept override { return do_allocate(bytes); }
  void do_free_staging(void* data, std::size_t bytes) noexcept override { do_free(data, bytes); }

 private:
  std::string name_ = "fake";
  std::size_t total_;
  bool host_visible_;
  std::atomic<std::size_t> used_{0};
};

}  // namespace ingot
