#include "ingot/ir/layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "ingot/ir/bits.h"
#include "ingot/ops/common.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

struct Example {
  const char* tag;
  Shape shape;
};

const Example kExamples[] = {{"plain", {2, 3, 4, 5}},
                             {"acdb", {2, 3, 4, 5}},
                             {"aBcd16b", {2, 20, 3, 2}},
                             {"aBcd8b", {2, 16, 3, 2}},
                             {"ABcd4b4a", {5, 6, 2, 3}},
                             {"ABcd2a4b2a", {5, 6, 2, 3}},
                             {"ba", {3, 7}},
                             {"BA16a16b4a", {20, 17}},
                             {"aBc8b", {2, 3, 0}},
                             {"A8a", {11}},
                             {"acdb_bits", {2, 3, 4, 5}},
                             {"aBcd8b_bits", {2, 12, 3, 2}},
                             {"abcd_bits", {2, 3, 4, 5}}};

/// The physical order spelled out: outer axes in order, then blocks, each a loop.
std::int64_t brute_force_offset(const Layout& layout, const Shape& shape,
                                const std::int64_t* index) {
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> coordinates;
  for (int i = 0; i < shape.rank(); ++i) {
    const int axis = layout.order().empty() ? i : layout.order()[static_cast<std::size_t>(i)];
    const std::int64_t block = layout.block_of(axis);
    sizes.push_back((shape[axis] + block - 1) / block);
    coordinates.push_back(index[axis] / block);
  }
  for (std::size_t b = 0; b < layout.blocks().size(); ++b) {
    // What the blocks further in take away from this axis.
    std::int64_t inner = 1;
    for (std::size_t k = b + 1; k < layout.blocks().size(); ++k) {
      if (layout.blocks()[k].axis == layout.blocks()[b].axis) inner *= layout.blocks()[k].size;
    }
    sizes.push_back(layout.blocks()[b].size);
    coordinates.push_back(index[layout.blocks()[b].axis] / inner % layout.blocks()[b].size);
  }
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) offset = offset * sizes[i] + coordinates[i];
  return offset;
}

TEST(Layout, OffsetsAgreeWithBruteForceAndNeverCollide) {
  for (const Example& example : kExamples) {
    SCOPED_TRACE(example.tag);
    const Layout layout = Layout::parse(example.tag);
    std::set<std::int64_t> seen;
    for_each_index(example.shape, [&](std::int64_t flat, const auto& index) {
      const std::int64_t offset = layout.offset(example.shape, index.data());
      EXPECT_EQ(offset, brute_force_offset(in_elements(layout), example.shape, index.data()));
      EXPECT_TRUE(seen.insert(offset).second);
      EXPECT_LT(offset, layout.physical_numel(example.shape));
      EXPECT_EQ(layout.is_plain() ? flat : offset, offset);
    });
  }
}

TEST(Layout, TagsRoundTrip) {
  for (const Example& example : kExamples) {
    EXPECT_EQ(Layout::parse(example.tag).to_string(example.shape.rank()), example.tag);
  }
  EXPECT_EQ(Layout::channels_blocked(16), Layout::parse("aBcd16b"));
  EXPECT_TRUE(Layout::parse("abcd").is_plain());
}

TEST(Layout, PaddingCounts) {
  const Layout layout = Layout::parse("aBcd16b");
  EXPECT_EQ(layout.physical_numel({2, 20, 3, 3}), 2 * 32 * 9);
  EXPECT_EQ(layout.physical_bytes({DType::bf16, {2, 20, 3, 3}}), 2 * 2 * 32 * 9);
  EXPECT_EQ(layout.block_of(1), 16);
  EXPECT_EQ(layout.block_of(0), 1);
}

TEST(Layout, BitsTakeAnEighthOfAByte) {
  const Layout layout = in_bits(Layout::parse("acdB8b"));
  EXPECT_EQ(layout.physical_numel({2, 12, 3, 3}), 2 * 9 * 16);
  EXPECT_EQ(layout.physical_bytes({DType::boolean, {2, 12, 3, 3}}), 2 * 9 * 2);
  EXPECT_EQ(in_bits(Layout()).physical_bytes({DType::boolean, {3, 3}}), 2);
  EXPECT_EQ(in_elements(layout), Layout::parse("acdB8b"));
  EXPECT_NE(layout, in_elements(layout));
  EXPECT_FALSE(in_bits(Layout()).is_plain());
}

TEST(Layout, Errors) {
  for (const std::string tag :
       {"", "zz", "aa", "ac", "aBcd16", "aBcd1b", "aBcd16e", "aBcd16b_", "16b", "aBcd99999b",
        "_bits", "aBcd16_bits", "abcd_bit", "abcd_bits_bits"}) {
    testing_support::expect_user_error(
        ErrorCode::invalid_graph,
        "layout \"" + tag + "\": not a tag such as \"plain\" or \"aBcd16b\"",
        [&] { Layout::parse(tag); });
  }
}

}  // namespace
}  // namespace ingot
