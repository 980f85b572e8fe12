#include "ingot/memory/host_device.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <new>

namespace ingot {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = 2U << 20;
/// Allocations from here on lie on huge pages where the system has them: an arena's first touch
/// then costs few faults, and walks through it few misses of the address cache.
constexpr std::size_t kHugeBytes = 8U << 20;

std::align_val_t alignment_of(std::size_t bytes) noexcept {
  return std::align_val_t{bytes >= kHugeBytes ? kHugePage : kAlignment};
}

void ask_for_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef MADV_HUGEPAGE
  // Whole pages alone: what shares the last one belongs to others. A refusal changes no result.
  madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
}

class HostStream final : public Stream {
 public:
  explicit HostStream(std::shared_ptr<Device> device) : device_(std::move(device)) {}

  [[nodiscard]] Device& device() const noexcept override { return *device_; }

  void copy_to_device(void* target, const void* host_source, std::size_t bytes) override {
    device_->copy_to_device(target, host_source, bytes);
  }
  void copy_to_host(void* host_target, const void* source, std::size_t bytes) override {
    device_->copy_to_host(host_target, source, bytes);
  }
  void copy_on_device(void* target, const void* source, std::size_t bytes) override {
    device_->copy_to_device(target, source, bytes);
  }
  void fill(void* target, std::byte value, std::size_t bytes) override {
    device_->fill(target, value, bytes);
  }
  void call_on_host(HostFunction function, void* context) override { function(context); }
  void wait_for(const Event& event) override { event.wait(); }
  void synchronize() override {}

 protected:
  std::uint64_t record_ticket() override { return ++tickets_; }
  [[nodiscard]] bool ticket_done(std::uint64_t) noexcept override { return true; }
  void wait_ticket(std::uint64_t) override {}

 private:
  std::shared_ptr<Device> device_;
  std::atomic<std::uint64_t> tickets_{0};
};

std::size_t physical_memory() {
  return static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// What the system could give without swapping; all of it where the system does not tell.
std::size_t available_memory(std::size_t total) {
  std::size_t available = total;
#ifdef __linux__
  if (std::FILE* file = std::fopen("/proc/meminfo", "re"); file != nullptr) {
    char line[128];
    std::size_t kibibytes = 0;
    while (std::fgets(line, sizeof(line), file) != nullptr) {
      if (std::sscanf(line, "MemAvailable: %zu kB", &kibibytes) == 1) available = kibibytes * 1024;
    }
    std::fclose(file);
  }
#endif
  return available;
}

class HostDevice final : public Device, public std::enable_shared_from_this<HostDevice> {
 public:
  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] DeviceKind kind() const noexcept override { return DeviceKind::host; }
  [[nodiscard]] bool host_visible() const noexcept override { return true; }
  [[nodiscard]] std::size_t alignment() const noexcept override { return kAlignment; }
  [[nodiscard]] MemoryInfo memory_info() const override {
    return {total_, available_memory(total_)};
  }

  void copy_to_device(void* target, const void* host_source, std::size_t bytes) override {
    if (bytes > 0) std::memmove(target, host_source, bytes);
  }
  void copy_to_host(void* host_target, const void* source, std::size_t bytes) override {
    copy_to_device(host_target, source, bytes);
  }
  void fill(void* target, std::byte value, std::size_t bytes) override {
    if (bytes > 0) std::memset(target, std::to_integer<int>(value), bytes);
  }

  [[nodiscard]] std::shared_ptr<Stream> create_stream() override {
    return std::make_shared<HostStream>(shared_from_this());
  }

 protected:
  void* do_allocate(std::size_t bytes) noexcept override {
    if (bytes > total_) return nullptr;
    void* data = ::operator new(bytes, alignment_of(bytes), std::nothrow);
    if (data != nullptr && bytes >= kHugeBytes) ask_for_huge_pages(data, bytes);
    return data;
  }
  void do_free(void* data, std::size_t bytes) noexcept override {
    ::operator delete(data, alignment_of(bytes));
  }
  void* do_allocate_staging(std::size_t bytes) noexcept override { return do_allocate(bytes); }
  void do_free_staging(void* data, std::size_t bytes) noexcept override { do_free(data, bytes); }

 private:
  std::string name_ = "host";
  std::size_t total_ = physical_memory();
};

}  // namespace

std::shared_ptr<Device> make_host_device() { return std::make_shared<HostDevice>(); }

}  // namespace ingot
