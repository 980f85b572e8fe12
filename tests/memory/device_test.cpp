#include "ingot/memory/device.h"

#include <gtest/gtest.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "ingot/memory/buffer.h"
#include "ingot/memory/host_device.h"
#include "tests/memory/fake_device.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

TEST(HostDevice, SaysWhatItIs) {
  const std::shared_ptr<Device> device = make_host_device();
  EXPECT_EQ(device->name(), "host");
  EXPECT_EQ(device->kind(), DeviceKind::host);
  EXPECT_TRUE(device->host_visible());
  EXPECT_EQ(device->alignment(), 64u);
  const MemoryInfo memory = device->memory_info();
  EXPECT_GT(memory.free_bytes, 0u);
  EXPECT_LE(memory.free_bytes, memory.total_bytes);
}

TEST(HostDevice, AllocatesAlignedMemoryAndCounts) {
  const std::shared_ptr<Device> device = make_host_device();
  for (const std::size_t bytes : {1u, 63u, 64u, 1000u, 1u << 20}) {
    void* data = device->allocate(bytes);
    ASSERT_NE(data, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 64, 0u);
    device->free(data, bytes);
  }
  void* staging = device->allocate_staging(100);
  device->free_staging(staging, 100);
  device->free(nullptr, 0);
  EXPECT_EQ(device->allocation_stats().counts(), (AllocationCounts{5, 5, 1, 1, 0}));
}

#ifdef __linux__
/// The flags that the kernel keeps for the mapping around an address; empty when it tells none.
std::string mapping_flags(const void* address) {
  std::ifstream smaps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    unsigned long first = 0;
    unsigned long last = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &first, &last) == 2) {
      inside = first <= wanted && wanted < last;
    } else if (inside && line.starts_with("VmFlags:")) {
      return line + " ";
    }
  }
  return {};
}

/// Whether a mapping that has asked for huge pages shows it.
bool tells_huge_pages() {
  constexpr std::size_t kBytes = 8U << 20;
  void* data = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return false;
  const bool asked = madvise(data, kBytes, MADV_HUGEPAGE) == 0;
  const bool told = mapping_flags(data).find(" hg ") != std::string::npos;
  munmap(data, kBytes);
  return asked && told;
}

TEST(HostDevice, LargeAllocationsAskForHugePages) {
  if (!std::filesystem::exists("/sys/kernel/mm/transparent_hugepage")) {
    GTEST_SKIP() << "the system has no huge pages to ask for";
  }
  const std::shared_ptr<Device> device = make_host_device();
  const std::size_t bytes = (8U << 20) + 100;
  void* data = device->allocate(bytes);
  ASSERT_NE(data, nullptr);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % (2U << 20), 0u);
  const std::string flags = mapping_flags(data);
  std::memset(data, 1, bytes);
  device->free(data, bytes);
  // An emulator tells the kernel's wishes of no mapping.
  if (!tells_huge_pages())
    GTEST_SKIP() << "the kernel does not tell which mappings want huge pages";
  EXPECT_NE(flags.find(" hg "), std::string::npos) << flags;
}
#endif

TEST(HostDevice, RefusesMoreThanTheMachineHas) {
  const std::shared_ptr<Device> device = make_host_device();
  EXPECT_EQ(device->allocate(device->memory_info().total_bytes + 1), nullptr);
  EXPECT_EQ(device->allocation_stats().counts(), AllocationCounts{});
}

TEST(HostStream, ExecutesAtOnce) {
  const std::shared_ptr<Device> device = make_host_device();
  const std::shared_ptr<Stream> stream = device->create_stream();
  EXPECT_EQ(&stream->device(), device.get());
  const std::array<int, 3> source{1, 2, 3};
  std::array<int, 3> middle{};
  std::array<int, 3> last{};
  stream->copy_to_device(middle.data(), source.data(), sizeof(source));
  EXPECT_EQ(middle, source);
  stream->copy_on_device(last.data(), middle.data(), sizeof(source));
  EXPECT_EQ(last, source);
  stream->fill(middle.data(), std::byte{0}, sizeof(source));
  EXPECT_EQ(middle, (std::array<int, 3>{}));
  stream->copy_to_host(middle.data(), last.data(), sizeof(source));
  EXPECT_EQ(middle, source);
  bool called = false;
  stream->call_on_host([](void* context) noexcept { *static_cast<bool*>(context) = true; },
                       &called);
  EXPECT_TRUE(called);
  const Event first = stream->record();
  const Event second = stream->record();
  EXPECT_TRUE(first.done());
  EXPECT_LT(first.ticket(), second.ticket());
  EXPECT_EQ(first.stream(), stream);
  stream->wait_for(second);
  second.wait();
  stream->synchronize();
}

TEST(Event, EmptyIsDone) {
  const Event event;
  EXPECT_TRUE(event.done());
  event.wait();
}

TEST(Event, FollowsAnAsynchronousStream) {
  const auto device = std::make_shared<FakeDevice>(1000);
  const std::shared_ptr<FakeStream> stream = device->fake_stream();
  const int source = 7;
  int target = 0;
  stream->copy_to_device(&target, &source, sizeof(int));
  const Event event = stream->record();
  EXPECT_FALSE(event.done());
  EXPECT_EQ(target, 0);
  event.wait();
  EXPECT_TRUE(event.done());
  EXPECT_EQ(target, 7);
}

TEST(Buffer, OwnsItsMemory) {
  const auto device = std::make_shared<FakeDevice>(1000);
  {
    Buffer buffer = Buffer::allocate(device, 100, "a");
    EXPECT_EQ(device->used(), 100u);
    EXPECT_EQ(buffer.size(), 100u);
    EXPECT_FALSE(buffer.external());
    EXPECT_EQ(buffer.device(), device);
    Buffer moved = std::move(buffer);
    EXPECT_TRUE(buffer.empty());  // NOLINT(bugprone-use-after-move): that is the point
    EXPECT_EQ(device->used(), 100u);
    moved = Buffer::allocate(device, 30, "b");
    EXPECT_EQ(device->used(), 30u);
  }
  EXPECT_EQ(device->used(), 0u);
}

TEST(Buffer, ZeroBytesAreEmpty) {
  const auto device = std::make_shared<FakeDevice>(0);
  const Buffer buffer = Buffer::allocate(device, 0, "nothing");
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(device->allocation_stats().counts(), AllocationCounts{});
}

TEST(Buffer, OutOfMemoryNamesTheBuffer) {
  const auto device = std::make_shared<FakeDevice>(1000);
  const Buffer first = Buffer::allocate(device, 600, "parameters");
  testing_support::expect_user_error(
      ErrorCode::out_of_memory,
      "buffer \"gradients\": needs 500 bytes on device \"fake\", got 400 free of 1000",
      [&] { Buffer::allocate(device, 500, "gradients"); });
  EXPECT_TRUE(Buffer::try_allocate(device, 500).empty());
}

TEST(Buffer, ExternalMemoryIsLetGoOnceAndNeverFreed) {
  const auto device = std::make_shared<FakeDevice>(1000);
  std::array<float, 4> memory{};
  int released = 0;
  {
    Buffer buffer = Buffer::wrap(device, memory.data(), sizeof(memory), [&](void* data) {
      EXPECT_EQ(data, memory.data());
      ++released;
    });
    EXPECT_TRUE(buffer.external());
    const Buffer moved = std::move(buffer);
    EXPECT_EQ(released, 0);
  }
  EXPECT_EQ(released, 1);
  EXPECT_EQ(device->allocation_stats().counts(), AllocationCounts{});
}

}  // namespace
}  // namespace ingot
