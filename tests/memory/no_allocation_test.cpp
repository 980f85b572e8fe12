// After warm-up, memory moves between Tensors, pool and staging without any allocator.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>

#include "ingot/memory/host_device.h"
#include "ingot/memory/staging_ring.h"
#include "ingot/memory/tensor.h"
#include "tests/support/count_new.h"

namespace ingot {
namespace {

using testing_support::count_new;

TEST(NoAllocation, TensorsAndStaging) {
  const std::shared_ptr<Device> device = make_host_device();
  BufferPool pool(device);
  const std::shared_ptr<Stream> stream = device->create_stream();
  StagingRing ring(device, 2, 64, StagingRing::Reclaim::manual);
  const TensorType type{DType::f32, {4}};
  std::array<float, 4> memory{};
  int released = 0;
  const auto step = [&](std::uint64_t index) {
    const Tensor x = Tensor::allocate(pool, type, "a name that is too long to be stored in place");
    const Tensor copy = x;
    copy.copy_from_host(std::as_bytes(std::span(memory)));
    const Tensor wrapped = Tensor::wrap(pool, memory.data(), sizeof(memory), type, "wrapped",
                                        [&released](void*) { ++released; });
    const StagingRing::Slot slot = ring.acquire();
    stream->copy_to_host(slot.bytes.data(), x.data(), x.bytes());
    const Event event = stream->record();
    x.record_use(event);
    ring.submit(slot, event, index);
    ring.reclaim(*ring.try_oldest());
  };
  step(0);
  const std::uint64_t news = count_new();
  AllocationCounts counts = device->allocation_stats().counts();
  for (std::uint64_t i = 1; i <= 1000; ++i) step(i);
  EXPECT_EQ(count_new(), news);
  counts.pool_acquires += 1000;
  EXPECT_EQ(device->allocation_stats().counts(), counts);
  EXPECT_EQ(released, 1001);
}

}  // namespace
}  // namespace ingot
