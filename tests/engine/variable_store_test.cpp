// What variables begin with, and how they lie.
#include "ingot/runtime/variable_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingot/base/philox.h"
#include "ingot/base/thread_pool.h"
#include "ingot/ir/bits.h"
#include "ingot/runtime/convert_layout.h"
#include "ingot/runtime/initial_value.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

/// Each element's own number, from 1 on, so that none is padding's zero.
HostTensor numbered(const TensorType& type) {
  HostTensor tensor(type);
  for (std::int64_t i = 0; i < type.numel(); ++i) tensor.view().set_int(i, i + 1);
  return tensor;
}

TEST(ConvertLayout, EveryElementLiesWhereTheLayoutHasIt) {
  for (const DType dtype : {DType::u8, DType::f16, DType::i32, DType::i64}) {
    for (const auto& [tag, shape] : {std::pair<std::string_view, Shape>{"acdb", {3, 5, 4, 2}},
                                     {"acdB8b", {2, 3, 4, 2}},
                                     {"cdba", {4, 3, 1, 1}},
                                     {"ABcd4b2a", {3, 5, 2, 2}},
                                     {"ba", {9, 7}},
                                     {"acdb", {2, 0, 4, 2}}}) {
      const TensorType type{dtype, shape};
      const Layout layout = Layout::parse(tag);
      const HostTensor value = numbered(type);
      const auto bytes = static_cast<std::size_t>(layout.physical_bytes(type));
      std::vector<std::byte> physical(bytes, std::byte{0xff});
      to_physical(value.view(), layout, physical.data());

      std::vector<std::byte> expected(bytes, std::byte{0});
      const std::size_t size = dtype_size(dtype);
      const auto strides = shape.strides();
      for (std::int64_t i = 0; i < type.numel(); ++i) {
        std::array<std::int64_t, Shape::kMaxRank> index{};
        for (int axis = 0; axis < shape.rank(); ++axis) {
          const auto a = static_cast<std::size_t>(axis);
          index[a] = i / strides[a] % shape[axis];
        }
        const auto at = static_cast<std::size_t>(layout.offset(shape, index.data()));
        std::memcpy(expected.data() + at * size,
                    value.bytes().data() + static_cast<std::size_t>(i) * size, size);
      }
      EXPECT_EQ(physical, expected) << tag << " of " << type.to_string();

      HostTensor back(type);
      to_logical(physical.data(), layout, back.view());
      EXPECT_EQ(back, value) << tag << " of " << type.to_string();
    }
  }
}

TEST(VariableStore, IsWrittenWithTheVariablesTypeAlone) {
  VariableStore store(make_backend("cpu"), 1);
  store.prepare(
      {{"w", {DType::f32, {2, 3}}, Layout{}, VariableRole::parameter, Initializer::constant(0)}});
  testing_support::expect_user_error(ErrorCode::invalid_shape,
                                     "variable \"w\": must be written with f32[2,3], got f32[3,2]",
                                     [&] { store.write("w", HostTensor({DType::f32, {3, 2}})); });
  EXPECT_EQ(store.read("w"), HostTensor({DType::f32, {2, 3}}));
}

TEST(ConvertLayout, BitsLieWhereTheLayoutHasThem) {
  const Shape shape{2, 11, 3, 2};
  const TensorType type{DType::boolean, shape};
  HostTensor value(type);
  for (std::int64_t i = 0; i < type.numel(); ++i) value.view().set_int(i, i % 3 == 0 ? 1 : 0);
  for (const std::string_view tag : {"acdB8b_bits", "acdb_bits", "abcd_bits"}) {
    SCOPED_TRACE(tag);
    const Layout layout = Layout::parse(tag);
    std::vector<std::byte> physical(static_cast<std::size_t>(layout.physical_bytes(type)),
                                    std::byte{0xff});
    to_physical(value.view(), layout, physical.data());
    int set = 0;
    for (const std::byte byte : physical) set += std::popcount(static_cast<unsigned>(byte));
    EXPECT_EQ(set, type.numel() / 3) << "padding is zero";
    const std::array<std::int64_t, 4> multiple{1, 10, 1, 1};
    const auto at = static_cast<std::size_t>(layout.offset(shape, multiple.data()));
    EXPECT_EQ((static_cast<int>(physical[at / 8]) >> (at % 8)) & 1, 1);
    HostTensor back(type);
    to_logical(physical.data(), layout, back.view());
    EXPECT_EQ(back, value);
  }
}

VariableRequest weight(std::string name) {
  return {
      std::move(name), {DType::f32, {2, 3}}, {}, VariableRole::parameter, Initializer::constant(1)};
}

TEST(VariableStore, ACopyIsStaleUntilItIsMadeAndAfterEachWrite) {
  VariableStore store(make_backend("cpu"));
  store.prepare({weight("w"), weight("v")});
  const std::int64_t before = store.bytes();
  const std::vector<CopyRequest> requests{{"w", DType::bf16}, {"w", DType::f16}};
  const std::vector<VariableCopy*> copies = store.prepare_copies(requests);
  ASSERT_EQ(copies.size(), 2u);
  EXPECT_EQ(copies[0]->bytes, 12);
  EXPECT_NE(copies[0]->data, copies[1]->data);
  EXPECT_FALSE(copies[0]->current());
  copies[0]->set_current();
  EXPECT_TRUE(copies[0]->current());
  EXPECT_FALSE(copies[1]->current());
  store.write("v", HostTensor({DType::f32, {2, 3}}));
  EXPECT_TRUE(copies[0]->current());
  store.write("w", HostTensor({DType::f32, {2, 3}}));
  EXPECT_FALSE(copies[0]->current());
  copies[0]->set_current();
  ++store.segment("w").generation;
  EXPECT_FALSE(copies[0]->current());

  // Whoever asks again shares them; all are the store's memory.
  EXPECT_EQ(store.prepare_copies(requests), copies);
  const std::vector<MemoryOwner> owners = store.device_memory();
  const auto owner = std::ranges::find(owners, "weight copies", &MemoryOwner::name);
  ASSERT_NE(owner, owners.end());
  EXPECT_EQ(owner->bytes, store.bytes() - before);
  EXPECT_EQ(total_bytes(owners), store.bytes());
}

TEST(VariableStore, MemoryOfTheCallersHasNoCopy) {
  VariableStore store(make_backend("cpu"));
  std::array<float, 6> memory{};
  const std::set<std::string, std::less<>> bound{"w"};
  store.bind_external("w", memory.data(), sizeof(memory));
  EXPECT_EQ(store.external_variables(), bound);
  store.prepare({weight("w"), weight("v")});
  EXPECT_EQ(store.external_variables(), bound);
  const std::vector<CopyRequest> requests{{"w", DType::bf16}};
  EXPECT_EQ(testing_support::error_of([&] { store.prepare_copies(requests); }),
            "variable \"w\": a copy cannot follow memory of the caller's\n"
            "help: this is a bug in Ingot; please report it with the graph that caused it");
}

// Longer than one task of a thread and than one row of the layout's table, and no multiple of any.
TEST(VariableStore, ManyElementsAreThoseOfOne) {
  const TensorType type{DType::f32, {37, 151, 7, 7}};
  const Initializer normal = Initializer::normal(0.5, 2);
  VariableStore store(make_backend("cpu"), 11);
  store.prepare({{"w", type, Layout::parse("acdb"), VariableRole::parameter, normal},
                 {"m", type, Layout::parse("acdb"), VariableRole::optimizer_state,
                  Initializer::constant(0)}});
  const HostTensor w = store.read("w");
  EXPECT_EQ(w, initial_value(type, normal, "w", 11));
  EXPECT_EQ(store.read("m"), HostTensor(type));

  ThreadPool threads(3);
  for (const Initializer& init : {normal, Initializer::uniform(-2, 3), Initializer::constant(4)}) {
    HostTensor alone(type);
    HostTensor shared(type);
    write_initial_value(alone.view(), init, "w", 11);
    write_initial_value(shared.view(), init, "w", 11, &threads);
    EXPECT_EQ(alone, shared);
  }
  // The formula itself, for one stream: FNV-1a of "w", folded.
  const std::uint64_t hash = (0xcbf29ce484222325ull ^ 'w') * 0x100000001b3ull;
  const auto stream = static_cast<std::uint32_t>(hash ^ (hash >> 32));
  for (const std::uint64_t i : {0ull, 1ull, 70000ull, 273762ull}) {
    EXPECT_EQ(w.view().get(static_cast<std::int64_t>(i)),
              static_cast<double>(static_cast<float>(0.5 + 2 * philox_normal(11, stream, 0, i))));
  }
}

}  // namespace
}  // namespace ingot
