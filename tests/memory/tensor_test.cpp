#include "ingot/memory/tensor.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "ingot/memory/host_device.h"
#include "tests/memory/fake_device.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using testing_support::expect_error;
using testing_support::expect_user_error;

class TensorTest : public testing::Test {
 protected:
  std::shared_ptr<Device> device_ = make_host_device();
  BufferPool pool_{device_};
  TensorType pair_{DType::f32, {2}};

  void expect_released(std::uint32_t generation, FunctionRef<void()> action) {
    expect_user_error(
        ErrorCode::use_after_release,
        "tensor \"x\": must not be used after its release, got a handle of generation " +
            std::to_string(generation),
        action);
  }
};

TEST_F(TensorTest, DescribesItself) {
  const TensorType type{DType::bf16, {3, 5}};
  const Tensor x = Tensor::allocate(pool_, type, "x");
  EXPECT_FALSE(x.empty());
  EXPECT_EQ(x.type(), type);
  EXPECT_EQ(x.name(), "x");
  EXPECT_EQ(x.bytes(), 30u);
  EXPECT_EQ(x.capacity(), 64u);
  EXPECT_EQ(&x.device(), device_.get());
  EXPECT_FALSE(x.external());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(x.data()) % 64, 0u);
}

TEST_F(TensorTest, HostViewAndCopies) {
  const Tensor x = Tensor::allocate(pool_, pair_, "x");
  x.copy_from_host(HostTensor(pair_, std::array{1.5, -2.0}));
  EXPECT_EQ(x.host().get(0), 1.5);
  x.host().set(1, 4.0);
  EXPECT_EQ(x.to_host(), HostTensor(pair_, std::array{1.5, 4.0}));
  std::array<float, 2> raw{};
  x.copy_to_host(std::as_writable_bytes(std::span(raw)));
  EXPECT_EQ(raw, (std::array<float, 2>{1.5f, 4.0f}));
  raw[0] = 9.0f;
  x.copy_from_host(std::as_bytes(std::span(raw)));
  EXPECT_EQ(x.host().get(0), 9.0);
}

TEST_F(TensorTest, CopiesMustFit) {
  const Tensor x = Tensor::allocate(pool_, pair_, "x");
  std::array<std::byte, 12> bytes{};
  expect_user_error(ErrorCode::invalid_argument,
                    "tensor \"x\": f32[2] is copied whole, 8 bytes, got 12",
                    [&] { x.copy_from_host(std::span<const std::byte>(bytes)); });
  expect_user_error(ErrorCode::invalid_argument,
                    "tensor \"x\": f32[2] is copied whole, 8 bytes, got 12",
                    [&] { x.copy_to_host(bytes); });
  expect_user_error(ErrorCode::invalid_argument, "tensor \"x\": is filled from f32[2], got i32[2]",
                    [&] { x.copy_from_host(HostTensor(TensorType{DType::i32, {2}})); });
}

TEST_F(TensorTest, ZeroElementsAreFine) {
  const Tensor x = Tensor::allocate(pool_, {DType::f32, {0, 3}}, "x");
  EXPECT_EQ(x.bytes(), 0u);
  EXPECT_EQ(x.to_host().to_doubles().size(), 0u);
  const Tensor wrapped = Tensor::wrap(pool_, nullptr, 0, {DType::f32, {0}}, "w");
  EXPECT_EQ(wrapped.data(), nullptr);
}

TEST_F(TensorTest, NegativeDimensionIsRefused) {
  expect_user_error(ErrorCode::invalid_shape,
                    "tensor \"x\": dimensions must not be negative, got f32[-1,2]",
                    [&] { Tensor::allocate(pool_, {DType::f32, {-1, 2}}, "x"); });
}

TEST_F(TensorTest, HandlesShareAndCount) {
  Tensor x = Tensor::allocate(pool_, pair_, "x");
  EXPECT_EQ(x.references(), 1u);
  Tensor y = x;
  EXPECT_EQ(x.references(), 2u);
  EXPECT_EQ(y.data(), x.data());
  Tensor z = std::move(y);
  EXPECT_TRUE(y.empty());  // NOLINT(bugprone-use-after-move): that is the point
  EXPECT_EQ(x.references(), 2u);
  const Tensor& self = z;
  z = self;
  EXPECT_EQ(x.references(), 2u);
  y = z;
  EXPECT_EQ(x.references(), 3u);
  y = Tensor();
  z = Tensor();
  EXPECT_EQ(x.references(), 1u);
  EXPECT_EQ(pool_.stats().live_count, 1u);
  x = Tensor();
  EXPECT_EQ(pool_.stats().live_count, 0u);
}

TEST_F(TensorTest, EmptyHandleIsAnError) {
  const Tensor empty;
  EXPECT_EQ(empty.generation(), 0u);
  expect_user_error(ErrorCode::use_after_release, "tensor: must have memory, got an empty handle",
                    [&] { (void)empty.data(); });
  const Tensor copy = empty;
  EXPECT_TRUE(copy.empty());
}

TEST_F(TensorTest, UseAfterReleaseNamesTensorAndGeneration) {
  Tensor x = Tensor::allocate(pool_, pair_, "x");
  const std::uint32_t generation = x.generation();
  x.release();
  EXPECT_EQ(pool_.stats().live_count, 0u);
  const Tensor other = Tensor::allocate(pool_, pair_, "other");  // the same control block again
  EXPECT_EQ(other.generation(), generation + 1);
  expect_released(generation, [&] { (void)x.data(); });
  expect_released(generation, [&] { (void)x.type(); });
  expect_released(generation, [&] { (void)x.name(); });
  expect_released(generation, [&] { (void)x.bytes(); });
  expect_released(generation, [&] { (void)x.capacity(); });
  expect_released(generation, [&] { (void)x.device(); });
  expect_released(generation, [&] { (void)x.external(); });
  expect_released(generation, [&] { (void)x.references(); });
  expect_released(generation, [&] { (void)x.host(); });
  expect_released(generation, [&] { (void)x.to_host(); });
  expect_released(generation, [&] { x.record_use(Event()); });
  expect_released(generation, [&] { x.release(); });
  expect_released(generation, [&] { (void)x.retain(); });
  const Tensor copy = x;
  expect_released(generation, [&] { (void)copy.data(); });
  EXPECT_EQ(other.references(), 1u);
}

TEST_F(TensorTest, AReleasedHandleStaysReleasedWhileOthersLive) {
  Tensor x = Tensor::allocate(pool_, pair_, "x");
  const Tensor y = x;
  x.release();
  expect_released(1, [&] { (void)x.data(); });
  EXPECT_EQ(y.references(), 1u);
}

TEST_F(TensorTest, ReleasedHandleMayOutliveThePool) {
  Tensor x;
  {
    BufferPool pool(device_);
    x = Tensor::allocate(pool, pair_, "x");
    x.release();
  }
  expect_released(1, [&] { (void)x.data(); });
}

TEST_F(TensorTest, CountingByHand) {
  static_assert(std::is_trivially_copyable_v<TensorRef>);
  TensorRef reference;
  {
    const Tensor x = Tensor::allocate(pool_, pair_, "x");
    x.host().set(0, 3.0);
    reference = x.retain();
    EXPECT_EQ(x.references(), 2u);
  }
  EXPECT_EQ(pool_.stats().live_count, 1u);
  EXPECT_EQ(reference.tensor().host().get(0), 3.0);
  reference.retain();
  reference.release();
  EXPECT_EQ(pool_.stats().live_count, 1u);
  reference.release();
  EXPECT_EQ(pool_.stats().live_count, 0u);
  expect_released(1, [&] { reference.release(); });
  expect_released(1, [&] { reference.retain(); });
  expect_released(1, [&] { (void)reference.tensor(); });
  expect_user_error(ErrorCode::use_after_release, "tensor: must have memory, got an empty handle",
                    [] { TensorRef().retain(); });
}

TEST_F(TensorTest, AHandleNoticesThatItsReferenceWasStolen) {
  const Tensor x = Tensor::allocate(pool_, pair_, "x");
  const TensorRef reference = x.retain();
  reference.release();
  reference.release();  // one too many: it was the handle's
  expect_released(1, [&] { (void)x.data(); });
  const Tensor other = Tensor::allocate(pool_, pair_, "other");
  {
    const Tensor copy = x;
  }
  EXPECT_EQ(other.references(), 1u);
}

TEST_F(TensorTest, WrapsExternalMemory) {
  std::vector<float> memory(100, 2.0f);
  int released = 0;
  Tensor x = Tensor::wrap(pool_, memory.data(), 400, {DType::f32, {2, 5}}, "x", [&](void* data) {
    EXPECT_EQ(data, memory.data());
    ++released;
  });
  EXPECT_TRUE(x.external());
  EXPECT_EQ(x.data(), memory.data());
  EXPECT_EQ(x.bytes(), 40u);
  EXPECT_EQ(x.capacity(), 400u);
  x.host().set(9, 7.0);
  EXPECT_EQ(memory[9], 7.0f);
  EXPECT_EQ(pool_.stats().external_count, 1u);
  EXPECT_EQ(pool_.stats().live_bytes, 0u);
  EXPECT_EQ(pool_.leak_report(),
            "pool of device \"host\": 1 tensor (40 bytes) is live: \"x\" 40 bytes");
  const Tensor y = x;
  x.release();
  EXPECT_EQ(released, 0);
  Tensor(std::move(const_cast<Tensor&>(y))).release();
  EXPECT_EQ(released, 1);
  EXPECT_EQ(pool_.stats().external_count, 0u);
  EXPECT_EQ(memory[9], 7.0f);
}

TEST_F(TensorTest, WrapChecksTheBuffer) {
  std::array<float, 256> memory{};
  bool released = false;
  const auto callback = [&](void*) { released = true; };
  expect_user_error(ErrorCode::invalid_feed,
                    "tensor \"x\": f32[32,3,32,32] needs 393216 bytes, got a buffer of 1024", [&] {
                      Tensor::wrap(pool_, memory.data(), 1024, {DType::f32, {32, 3, 32, 32}}, "x",
                                   callback);
                    });
  expect_user_error(ErrorCode::invalid_feed,
                    "tensor \"x\": f32[2] needs 8 bytes, got a null pointer",
                    [&] { Tensor::wrap(pool_, nullptr, 8, pair_, "x", callback); });
  expect_user_error(
      ErrorCode::invalid_feed,
      "tensor \"x\": f32[2] needs an address that is a multiple of 4, got one with remainder 1",
      [&] {
        Tensor::wrap(pool_, reinterpret_cast<char*>(memory.data()) + 1, 8, pair_, "x", callback);
      });
  expect_user_error(ErrorCode::invalid_shape,
                    "tensor \"x\": dimensions must not be negative, got f32[-1]",
                    [&] { Tensor::wrap(pool_, memory.data(), 8, {DType::f32, {-1}}, "x"); });
  EXPECT_FALSE(released);
}

TEST(TensorOnDevice, ReleaseCallbackWaitsForTheDevice) {
  const auto device = std::make_shared<FakeDevice>(1000);
  BufferPool pool(device);
  const std::shared_ptr<FakeStream> stream = device->fake_stream();
  std::array<float, 4> memory{};
  int released = 0;
  {
    const Tensor x = Tensor::wrap(pool, memory.data(), sizeof(memory), {DType::f32, {4}}, "x",
                                  [&](void*) { ++released; });
    x.record_use(stream->record());
  }
  pool.collect();
  EXPECT_EQ(released, 0);
  stream->run_all();
  pool.collect();
  EXPECT_EQ(released, 1);
}

// A callback may use the pool, as a caller that feeds the next batch from it does.
TEST_F(TensorTest, ReleaseCallbackMayUseThePool) {
  std::array<float, 4> memory{};
  Tensor next;
  {
    const Tensor x = Tensor::wrap(pool_, memory.data(), sizeof(memory), pair_, "x",
                                  [&](void*) { next = Tensor::allocate(pool_, pair_, "next"); });
  }
  EXPECT_EQ(next.name(), "next");
}

TEST(TensorOnDevice, CopiesWaitForRecordedUses) {
  const auto device = std::make_shared<FakeDevice>(1000);
  BufferPool pool(device);
  const std::shared_ptr<FakeStream> stream = device->fake_stream();
  const Tensor x = Tensor::allocate(pool, {DType::u8, {4}}, "x");
  stream->fill(x.data(), std::byte{5}, 4);
  x.record_use(stream->record());
  EXPECT_EQ(x.to_host().view().get(3), 5.0);
  stream->fill(x.data(), std::byte{6}, 4);
  x.record_use(stream->record());
  EXPECT_EQ(x.host().get(0), 6.0);
}

TEST(TensorOnDevice, ViewNeedsHostMemory) {
  const auto device = std::make_shared<FakeDevice>(1000, /*host_visible=*/false);
  BufferPool pool(device);
  const Tensor x = Tensor::allocate(pool, {DType::f32, {2}}, "x");
  expect_error(ErrorKind::unsupported, ErrorCode::unsupported,
               "tensor \"x\": must be in host memory for a view, got device \"fake\"\n"
               "help: copy it with to_host",
               [&] { (void)x.host(); });
  x.copy_from_host(HostTensor(x.type(), std::array{1.0, 2.0}));
  EXPECT_EQ(x.to_host().to_doubles(), (std::vector<double>{1.0, 2.0}));
}

TEST_F(TensorTest, ThreadsShareOneTensor) {
  Tensor x = Tensor::allocate(pool_, pair_, "x");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([mine = x]() mutable {
      for (int i = 0; i < 2000; ++i) {
        const Tensor copy = mine;
        const TensorRef reference = copy.retain();
        reference.release();
      }
      mine.release();
    });
  }
  x.release();  // the last thread to finish gives the memory back
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool_.stats().live_count, 0u);
  EXPECT_EQ(pool_.stats().pooled_count, 1u);
}

}  // namespace
}  // namespace ingot
