#include "ingot/data/jpeg.h"

#include <gtest/gtest.h>

#include "tests/data/support/jpegs.h"
#include "tests/support/encode.h"
#include "tests/support/expect_error.h"

namespace ingot::data {
namespace {

using namespace testing_support;  // NOLINT: the images

/// Reads JPEG images in a build that has libjpeg.
class Jpeg : public testing::Test {
 protected:
  void SetUp() override {
    if (jpeg_library_version().starts_with("missing")) GTEST_SKIP() << "built without libjpeg";
  }
};

HostTensor decode(std::string_view content) { return decode_jpeg(bytes_of(content), "f"); }

std::string refusal(std::string_view content) {
  return error_of([&] { (void)decode(content); });
}

TEST_F(Jpeg, DecodesGrey) {
  const HostTensor image = decode(grey_jpeg());
  EXPECT_EQ(image.type().to_string(), "u8[1,8,16]");
  for (std::int64_t i = 0; i < 128; ++i) EXPECT_NEAR(image.view().get(i), i % 16 < 8 ? 50 : 200, 1);
}

TEST_F(Jpeg, DecodesColourIntoPlanes) {
  const HostTensor image = decode(colour_jpeg());
  EXPECT_EQ(image.type().to_string(), "u8[3,8,16]");
  for (std::int64_t i = 0; i < 128; ++i) {
    EXPECT_NEAR(image.view().get(i), i % 16 < 8 ? 255 : 0, 2);
    EXPECT_NEAR(image.view().get(128 + i), 0, 2);
    EXPECT_NEAR(image.view().get(256 + i), i % 16 < 8 ? 0 : 255, 2);
  }
}

TEST_F(Jpeg, RefusesDamage) {
  EXPECT_EQ(refusal(""), "jpeg \"f\": must begin with the JPEG signature, got other bytes");
  EXPECT_EQ(refusal("\x89PNG...."),
            "jpeg \"f\": must begin with the JPEG signature, got other bytes");
  const std::string good = grey_jpeg();
  // In the headers, in the tables' place, and in the pixels.
  EXPECT_EQ(refusal(good.substr(0, 40)),
            "jpeg \"f\": must be undamaged, got \"Premature end of JPEG file\"");
  EXPECT_EQ(refusal(good.substr(0, good.size() - 8)),
            "jpeg \"f\": must be undamaged, got \"Premature end of JPEG file\"");
  std::string flipped = good;
  flipped[2 + 2 + 2] = 0x47;  // a table of number 7
  EXPECT_EQ(refusal(flipped), "jpeg \"f\": must be undamaged, got \"Bogus DQT index 7\"");
  EXPECT_EQ(refusal(ink_jpeg()), "jpeg \"f\": must have 1 or 3 components of colour, got 4");
  EXPECT_EQ(error_of([&] { (void)decode_jpeg(bytes_of(good), "f", 127); }),
            "jpeg \"f\": must have at most 127 bytes of pixels, got 1 x 8 x 16");
}

TEST(JpegWithoutLibrary, SaysHowToGetIt) {
  if (!jpeg_library_version().starts_with("missing")) GTEST_SKIP() << "built with libjpeg";
  EXPECT_EQ(refusal(grey_jpeg()),
            "jpeg \"f\": must be read by a build with libjpeg, got one without\n"
            "help: install libjpeg-dev (Debian, Ubuntu) or jpeg-turbo (Homebrew) and build again");
}

}  // namespace
}  // namespace ingot::data
