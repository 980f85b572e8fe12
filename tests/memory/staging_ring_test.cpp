#include "ingot/memory/staging_ring.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <thread>

#include "ingot/memory/host_device.h"
#include "tests/memory/fake_device.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using Reclaim = StagingRing::Reclaim;
using testing_support::expect_error;
using testing_support::expect_user_error;

TEST(StagingRing, FeedsThroughAnAsynchronousStream) {
  const auto device = std::make_shared<FakeDevice>(1000);
  const std::shared_ptr<FakeStream> stream = device->fake_stream();
  StagingRing ring(device, 2, 8, Reclaim::automatic);
  EXPECT_EQ(ring.slots(), 2u);
  EXPECT_EQ(ring.slot_bytes(), 8u);
  std::array<std::int64_t, 6> received{};
  const AllocationCounts before = device->allocation_stats().counts();
  for (std::int64_t step = 0; step < 6; ++step) {
    const StagingRing::Slot slot = ring.acquire();  // waits for the copy of two steps ago
    EXPECT_EQ(slot.index, static_cast<std::size_t>(step % 2));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(slot.bytes.data()) % 64, 0u);
    std::memcpy(slot.bytes.data(), &step, sizeof(step));
    stream->copy_to_device(&received[static_cast<std::size_t>(step)], slot.bytes.data(), 8);
    ring.submit(slot, stream->record());
  }
  stream->run_all();
  EXPECT_EQ(received, (std::array<std::int64_t, 6>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(device->allocation_stats().counts(), before);
}

TEST(StagingRing, TryAcquireDoesNotWait) {
  const auto device = std::make_shared<FakeDevice>(1000);
  const std::shared_ptr<FakeStream> stream = device->fake_stream();
  StagingRing ring(device, 1, 8, Reclaim::automatic);
  const auto slot = ring.try_acquire();
  ASSERT_TRUE(slot.has_value());
  EXPECT_FALSE(ring.try_acquire().has_value());
  ring.submit(*slot, stream->record());
  EXPECT_FALSE(ring.try_acquire().has_value());
  stream->run_all();
  EXPECT_TRUE(ring.try_acquire().has_value());
}

TEST(StagingRing, ResultsAreReadInOrderWithTheirTags) {
  const auto device = std::make_shared<FakeDevice>(1000);
  const std::shared_ptr<FakeStream> stream = device->fake_stream();
  StagingRing ring(device, 2, sizeof(float), Reclaim::manual);
  EXPECT_FALSE(ring.try_oldest().has_value());
  EXPECT_FALSE(ring.wait_oldest().has_value());
  const std::array<float, 2> losses{2.5f, 1.25f};
  for (std::size_t step = 0; step < 2; ++step) {
    const StagingRing::Slot slot = ring.acquire();
    stream->copy_to_host(slot.bytes.data(), &losses[step], sizeof(float));
    ring.submit(slot, stream->record(), 100 + step);
  }
  EXPECT_FALSE(ring.try_oldest().has_value());  // the device has done nothing yet
  EXPECT_FALSE(ring.try_acquire().has_value());
  for (std::size_t step = 0; step < 2; ++step) {
    const auto slot = ring.wait_oldest();
    ASSERT_TRUE(slot.has_value());
    EXPECT_EQ(slot->tag, 100 + step);
    float loss = 0;
    std::memcpy(&loss, slot->bytes.data(), sizeof(loss));
    EXPECT_EQ(loss, losses[step]);
    EXPECT_EQ(ring.try_oldest()->index, slot->index);
    ring.reclaim(*slot);
  }
  EXPECT_TRUE(ring.try_acquire().has_value());
}

TEST(StagingRing, ProducerAndConsumerThreads) {
  const std::shared_ptr<Device> device = make_host_device();
  StagingRing ring(device, 3, sizeof(std::uint64_t), Reclaim::manual);
  constexpr std::uint64_t kItems = 5000;
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < kItems; ++i) {
      const StagingRing::Slot slot = ring.acquire();
      std::memcpy(slot.bytes.data(), &i, sizeof(i));
      ring.submit(slot, Event(), i);
    }
  });
  for (std::uint64_t expected = 0; expected < kItems;) {
    const auto slot = ring.try_oldest();
    if (!slot.has_value()) {
      std::this_thread::yield();
      continue;
    }
    std::uint64_t value = 0;
    std::memcpy(&value, slot->bytes.data(), sizeof(value));
    ASSERT_EQ(value, expected);
    ASSERT_EQ(slot->tag, expected);
    ring.reclaim(*slot);
    ++expected;
  }
  producer.join();
}

TEST(StagingRing, SubmitWakesAWaitingProducer) {
  const std::shared_ptr<Device> device = make_host_device();
  StagingRing ring(device, 1, 8, Reclaim::automatic);
  const StagingRing::Slot slot = ring.acquire();
  std::thread other([&] { ring.submit(ring.acquire(), Event()); });
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ring.submit(slot, Event());
  other.join();
}

TEST(StagingRing, MisuseIsABug) {
  const std::shared_ptr<Device> device = make_host_device();
  StagingRing ring(device, 2, 8, Reclaim::manual);
  const StagingRing::Slot first = ring.acquire();
  const StagingRing::Slot second = ring.acquire();
  const auto expect_bug = [](const std::string& text, FunctionRef<void()> action) {
    expect_error(
        ErrorKind::internal, ErrorCode::internal,
        text + "\nhelp: this is a bug in Ingot; please report it with the graph that caused it",
        action);
  };
  expect_bug("staging ring: slot 0 cannot be reclaimed in its phase", [&] { ring.reclaim(first); });
  ring.submit(first, Event());
  ring.submit(second, Event());
  expect_bug("staging ring: slot 0 cannot be submitted in its phase",
             [&] { ring.submit(first, Event()); });
  expect_bug("staging ring: slots are reclaimed in order, got 1 before 0",
             [&] { ring.reclaim(second); });
}

TEST(StagingRing, SizesAreChecked) {
  const auto device = std::make_shared<FakeDevice>(1000);
  expect_user_error(ErrorCode::invalid_argument,
                    "staging ring: needs at least 1 slot of at least 1 byte, got 0 of 8",
                    [&] { StagingRing(device, 0, 8, Reclaim::manual); });
  expect_user_error(ErrorCode::invalid_argument,
                    "staging ring: needs at least 1 slot of at least 1 byte, got 2 of 0",
                    [&] { StagingRing(device, 2, 0, Reclaim::manual); });
  expect_user_error(ErrorCode::out_of_memory,
                    "staging ring: needs 1280 bytes of host memory, got none",
                    [&] { StagingRing(device, 10, 100, Reclaim::manual); });
  expect_user_error(ErrorCode::out_of_memory,
                    "staging ring: needs 18446744073709551615 bytes of host memory, got none", [&] {
                      StagingRing(device, 8, std::numeric_limits<std::size_t>::max() / 4,
                                  Reclaim::manual);
                    });
}

}  // namespace
}  // namespace ingot
