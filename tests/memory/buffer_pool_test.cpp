#include "ingot/memory/buffer_pool.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ingot/base/philox.h"
#include "ingot/base/trace.h"
#include "ingot/memory/host_device.h"
#include "ingot/memory/size_class.h"
#include "ingot/memory/tensor.h"
#include "tests/memory/fake_device.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using testing_support::expect_user_error;

TensorType bytes_type(std::int64_t bytes) { return {DType::u8, {bytes}}; }

void check_class(std::size_t bytes) {
  const int size_class = size_class_of(bytes);
  const std::size_t given = size_class_bytes(size_class);
  ASSERT_GE(given, bytes);
  if (bytes >= kSmallestSizeClass) {
    ASSERT_LE(given - bytes, bytes / 4) << bytes;
  }
  if (size_class > 0) {
    ASSERT_LT(size_class_bytes(size_class - 1), bytes);
  }
  ASSERT_EQ(size_class_of(given), size_class);
}

TEST(SizeClass, WasteAtMostAQuarterEverywhere) {
  for (std::size_t bytes = 1; bytes <= (std::size_t{8} << 20); ++bytes) check_class(bytes);
  for (std::uint64_t i = 0; i < 200000; ++i) {
    check_class(1 + philox_below(1, 0, 0, i, kLargestPooledSize));
  }
  for (int shift = 6; shift <= 62; ++shift) {
    const std::size_t power = std::size_t{1} << shift;
    check_class(power);
    check_class(power - 1);
    if (shift < 62) check_class(power + 1);
  }
  EXPECT_EQ(size_class_of(kLargestPooledSize), kSizeClassCount - 1);
  EXPECT_EQ(size_class_bytes(0), 64u);
  EXPECT_EQ(size_class_bytes(1), 80u);
  EXPECT_EQ(size_class_bytes(4), 128u);
  EXPECT_EQ(size_class_bytes(5), 160u);
}

TEST(BufferPool, ReusesMemoryAndKeepsStatistics) {
  const auto device = std::make_shared<FakeDevice>(10000);
  BufferPool pool(device);
  void* first_address = nullptr;
  {
    const Tensor a = Tensor::allocate(pool, bytes_type(100), "a");
    const Tensor b = Tensor::allocate(pool, bytes_type(300), "b");
    first_address = a.data();
    const PoolStats stats = pool.stats();
    EXPECT_EQ(stats.live_bytes, 112u + 320u);
    EXPECT_EQ(stats.requested_bytes, 400u);
    EXPECT_EQ(stats.live_count, 2u);
    EXPECT_EQ(stats.misses, 2u);
    EXPECT_EQ(a.capacity(), 112u);
    EXPECT_EQ(a.bytes(), 100u);
  }
  PoolStats stats = pool.stats();
  EXPECT_EQ(stats.live_bytes, 0u);
  EXPECT_EQ(stats.live_count, 0u);
  EXPECT_EQ(stats.requested_bytes, 0u);
  EXPECT_EQ(stats.pooled_bytes, 432u);
  EXPECT_EQ(stats.pooled_count, 2u);
  EXPECT_EQ(stats.peak_live_bytes, 432u);
  const Tensor c = Tensor::allocate(pool, bytes_type(97), "c");
  EXPECT_EQ(c.data(), first_address);
  stats = pool.stats();
  EXPECT_EQ(stats.hits, 1u);
  EXPECT_EQ(stats.hit_rate(), 1.0 / 3.0);
  EXPECT_EQ(PoolStats{}.hit_rate(), 0.0);
  pool.trim();
  EXPECT_EQ(pool.stats().pooled_bytes, 0u);
  EXPECT_EQ(device->used(), 112u);
}

TEST(BufferPool, SteadyStateAsksTheDeviceForNothing) {
  const std::shared_ptr<Device> device = make_host_device();
  BufferPool pool(device);
  const auto step = [&] {
    const Tensor a = Tensor::allocate(pool, bytes_type(1000), "a");
    const Tensor b = Tensor::allocate(pool, bytes_type(1000), "b");
  };
  step();
  AllocationCounts before = device->allocation_stats().counts();
  EXPECT_EQ(before.device_allocations, 2u);
  for (int i = 0; i < 1000; ++i) step();
  before.pool_acquires += 2000;
  EXPECT_EQ(device->allocation_stats().counts(), before);
  EXPECT_EQ(pool.stats().hits, 2000u);
}

TEST(BufferPool, MemoryComesBackOnlyWhenTheDeviceHasFinished) {
  const auto device = std::make_shared<FakeDevice>(10000);
  BufferPool pool(device);
  const std::shared_ptr<FakeStream> stream = device->fake_stream();
  Tensor a = Tensor::allocate(pool, bytes_type(64), "a");
  void* address = a.data();
  stream->fill(address, std::byte{1}, 64);
  a.record_use(stream->record());
  a = Tensor();
  PoolStats stats = pool.stats();
  EXPECT_EQ(stats.live_count, 0u);
  EXPECT_EQ(stats.pending_count, 1u);
  EXPECT_EQ(stats.pending_bytes, 64u);
  EXPECT_EQ(stats.pooled_count, 0u);
  const Tensor b = Tensor::allocate(pool, bytes_type(64), "b");
  EXPECT_NE(b.data(), address);
  stream->run_all();
  const Tensor c = Tensor::allocate(pool, bytes_type(64), "c");
  EXPECT_EQ(c.data(), address);
  stats = pool.stats();
  EXPECT_EQ(stats.pending_count, 0u);
  EXPECT_EQ(stats.pending_bytes, 0u);
}

TEST(BufferPool, EveryStreamHasToFinish) {
  const auto device = std::make_shared<FakeDevice>(10000);
  BufferPool pool(device);
  std::vector<std::shared_ptr<FakeStream>> streams;
  for (int i = 0; i < 6; ++i) streams.push_back(device->fake_stream());
  Tensor a = Tensor::allocate(pool, bytes_type(64), "a");
  // More streams than a Tensor keeps: the first is waited for.
  for (const auto& stream : streams) {
    a.record_use(stream->record());
    a.record_use(stream->record());
  }
  a = Tensor();
  for (std::size_t i = 2; i < streams.size(); ++i) {
    EXPECT_EQ(pool.stats().pending_count, 1u);
    streams[i]->run_all();
    pool.collect();
  }
  EXPECT_EQ(pool.stats().pending_count, 0u);
  EXPECT_EQ(pool.stats().pooled_count, 1u);
}

TEST(BufferPool, PoisonsWhatComesBack) {
  const std::shared_ptr<Device> device = make_host_device();
  BufferPool pool(device, {.poison = true, .leak_sink = {}});
  Tensor a = Tensor::allocate(pool, bytes_type(64), "a");
  auto* data = static_cast<std::byte*>(a.data());
  std::memset(data, 0, 64);
  a.release();
  EXPECT_EQ(data[0], kPoisonByte);  // the pool still owns the memory
  EXPECT_EQ(data[63], kPoisonByte);
}

TEST(BufferPool, OutOfMemoryTrimsAndTriesAgain) {
  const auto device = std::make_shared<FakeDevice>(1000);
  BufferPool pool(device);
  Tensor a = Tensor::allocate(pool, bytes_type(512), "a");
  a.release();
  const std::shared_ptr<FakeStream> stream = device->fake_stream();
  Tensor b = Tensor::allocate(pool, bytes_type(256), "b");
  b.record_use(stream->record());
  b.release();
  // 768 bytes are pooled or pending, so that the request fits only without them.
  const Tensor c = Tensor::allocate(pool, bytes_type(896), "c");
  EXPECT_EQ(device->used(), 896u);
}

TEST(BufferPool, OutOfMemoryListsWhatIsLive) {
  const auto device = std::make_shared<FakeDevice>(1000);
  BufferPool pool(device);
  expect_user_error(ErrorCode::out_of_memory,
                    "tensor \"x\": needs 1024 bytes on device \"fake\", got 1000 free of 1000\n"
                    "note: no tensors are live in the pool",
                    [&] { Tensor::allocate(pool, bytes_type(1024), "x"); });
  const Tensor a = Tensor::allocate(pool, bytes_type(500), "a");
  const Tensor b = Tensor::allocate(pool, bytes_type(64), "b");
  const Tensor b2 = Tensor::allocate(pool, bytes_type(60), "b");
  expect_user_error(ErrorCode::out_of_memory,
                    "tensor \"x\": needs 448 bytes on device \"fake\", got 360 free of 1000\n"
                    "note: live in the pool are 3 tensors (624 bytes): \"a\" 500 bytes, "
                    "2 x \"b\" 124 bytes",
                    [&] { Tensor::allocate(pool, bytes_type(448), "x"); });
  EXPECT_EQ(pool.stats().live_count, 3u);
  EXPECT_EQ(Tensor::allocate(pool, bytes_type(300), "y").bytes(), 300u);
}

TEST(BufferPool, ImpossibleSizesAreOutOfMemory) {
  const auto device = std::make_shared<FakeDevice>(1000);
  BufferPool pool(device);
  const TensorType huge{DType::f64, {1 << 30, 1 << 30, 1 << 30}};
  expect_user_error(ErrorCode::out_of_memory,
                    "tensor \"x\": needs 9223372036854775807 bytes on device \"fake\", got 1000 "
                    "free of 1000\nnote: no tensors are live in the pool",
                    [&] { Tensor::allocate(pool, huge, "x"); });
}

TEST(BufferPool, ReportsTensorsThatOutliveIt) {
  const auto device = std::make_shared<FakeDevice>(100000);
  std::vector<std::string> lines;
  std::vector<Tensor> kept;
  {
    BufferPool pool(device,
                    {.leak_sink = [&](std::string_view line) { lines.emplace_back(line); }});
    EXPECT_EQ(pool.leak_report(), "");
    kept.push_back(Tensor::allocate(pool, bytes_type(1000), "weight"));
    EXPECT_EQ(pool.leak_report(),
              "pool of device \"fake\": 1 tensor (1000 bytes) is live: \"weight\" 1000 bytes");
    for (int i = 0; i < 12; ++i) {
      kept.push_back(
          Tensor::allocate(pool, bytes_type(100 - i), std::string("t").append(std::to_string(i))));
    }
  }
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0],
            "pool of device \"fake\": 13 tensors (2134 bytes) are live: \"weight\" 1000 bytes, "
            "\"t0\" 100 bytes, \"t1\" 99 bytes, \"t2\" 98 bytes, \"t3\" 97 bytes, "
            "\"t4\" 96 bytes, \"t5\" 95 bytes, \"t6\" 94 bytes, \"t7\" 93 bytes, "
            "\"t8\" 92 bytes and 3 more names");
  // They stay usable; their memory is freed with them.
  EXPECT_EQ(kept[0].name(), "weight");
  EXPECT_EQ(kept[0].host().get(0), kept[0].host().get(0));
  kept.clear();
  EXPECT_EQ(device->used(), 0u);
}

TEST(BufferPool, LeaksGoToStderrByDefault) {
  const auto device = std::make_shared<FakeDevice>(1000);
  testing::internal::CaptureStderr();
  std::optional<Tensor> kept;
  {
    BufferPool pool(device);
    kept = Tensor::allocate(pool, bytes_type(10), "x");
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "ingot: pool of device \"fake\": 1 tensor (10 bytes) is live: \"x\" 10 bytes\n");
}

TEST(BufferPool, GoingWaitsForTheDevice) {
  const auto device = std::make_shared<FakeDevice>(1000);
  const std::shared_ptr<FakeStream> stream = device->fake_stream();
  {
    BufferPool pool(device);
    const Tensor a = Tensor::allocate(pool, bytes_type(10), "x");
    a.record_use(stream->record());
  }
  EXPECT_EQ(device->used(), 0u);
}

TEST(BufferPool, AFailedDeviceIsReportedWhenThePoolGoes) {
  const auto device = std::make_shared<FakeDevice>(1000);
  const std::shared_ptr<FakeStream> stream = device->fake_stream();
  std::vector<std::string> lines;
  {
    BufferPool pool(device,
                    {.leak_sink = [&](std::string_view line) { lines.emplace_back(line); }});
    const Tensor a = Tensor::allocate(pool, bytes_type(10), "x");
    a.record_use(stream->record());
    stream->fails = true;
  }
  EXPECT_EQ(lines, (std::vector<std::string>{"device \"fake\": lost"}));
  EXPECT_EQ(device->used(), 0u);
}

TEST(BufferPool, TracesAllocations) {
  const auto device = std::make_shared<FakeDevice>(1000);
  const TraceCapture capture("memory");
  {
    BufferPool pool(device);
    for (int i = 0; i < 3; ++i) Tensor::allocate(pool, bytes_type(70), "x");
  }
  EXPECT_EQ(capture.lines(),
            (std::vector<std::string>{
                "pool of device \"fake\": allocated 80 bytes for \"x\"",
                "pool of device \"fake\": 2 hits, 1 misses, peak 80 bytes, live 0 bytes"}));
}

TEST(BufferPool, NamesAreBounded) {
  const std::shared_ptr<Device> device = make_host_device();
  BufferPool pool(device);
  for (int i = 0; i < 65536; ++i) Tensor::allocate(pool, bytes_type(1), std::to_string(i));
  EXPECT_EQ(Tensor::allocate(pool, bytes_type(1), "new").name(), "(one of too many names)");
  EXPECT_EQ(Tensor::allocate(pool, bytes_type(1), "17").name(), "17");
}

TEST(BufferPool, SeveralThreadsShareIt) {
  const std::shared_ptr<Device> device = make_host_device();
  BufferPool pool(device);
  std::vector<std::thread> threads;
  std::array<bool, 4> intact{};
  for (std::size_t t = 0; t < intact.size(); ++t) {
    threads.emplace_back([&, t] {
      bool mine = true;
      std::vector<Tensor> held(8);
      for (std::uint64_t i = 0; i < 3000; ++i) {
        const auto bytes = static_cast<std::int64_t>(1 + philox_below(3, 0, t, i, 2000));
        const auto value = static_cast<unsigned char>(t * 60 + i % 60);
        Tensor& slot = held[i % held.size()];
        if (!slot.empty()) {
          const auto* data = static_cast<const unsigned char*>(slot.data());
          for (std::size_t b = 1; b < slot.bytes(); ++b) mine = mine && data[b] == data[0];
        }
        slot = Tensor::allocate(pool, bytes_type(bytes), "shared");
        std::memset(slot.data(), value, slot.bytes());
        if (i % 500 == 0) pool.trim();
      }
      intact[t] = mine;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(intact, (std::array<bool, 4>{true, true, true, true}));
  EXPECT_EQ(pool.stats().live_count, 0u);
  EXPECT_EQ(pool.stats().hits + pool.stats().misses, 12000u);
}

}  // namespace
}  // namespace ingot
