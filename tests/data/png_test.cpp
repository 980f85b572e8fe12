#include "ingot/data/png.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "tests/support/encode.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace ingot::data {
namespace {

using namespace testing_support;  // NOLINT: the encoders

constexpr int kGrey = 0;
constexpr int kRgb = 2;
constexpr int kPalette = 3;
constexpr int kRgbAlpha = 6;

HostTensor decode(std::string_view content, int channels) {
  return decode_png(bytes_of(content), channels, "f");
}

std::string refusal(std::string_view content) {
  return error_of([&] { (void)decode(content, 1); });
}

TEST(Png, DecodesGreyExactly) {
  std::string rows;
  for (int i = 0; i < 256; ++i) rows += static_cast<char>(i);
  const HostTensor image = decode(encode_png(64, 4, 8, kGrey, rows), 1);
  EXPECT_EQ(image.type().to_string(), "u8[1,4,64]");
  for (std::int64_t i = 0; i < 256; ++i) ASSERT_EQ(image.view().get_int(i), i);
  const HostTensor as_rgb = decode(encode_png(64, 4, 8, kGrey, rows), 3);
  EXPECT_EQ(as_rgb.type().to_string(), "u8[3,4,64]");
  EXPECT_EQ(as_rgb.view().get_int(2 * 256 + 77), 77);
}

TEST(Png, DecodesColourIntoPlanes) {
  const HostTensor image = decode(encode_png(2, 1, 8, kRgb, "\x01\x02\x03\x04\x05\x06"), 3);
  EXPECT_EQ(image.type().to_string(), "u8[3,1,2]");
  EXPECT_EQ(image.to_doubles(), (std::vector<double>{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(decode(encode_png(2, 1, 8, kRgb, "\x01\x02\x03\x04\x05\x06"), 0), image);
  EXPECT_EQ(decode(encode_png(2, 1, 8, kGrey, "ab"), 0).type().to_string(), "u8[1,1,2]");
}

TEST(Png, DecodesPaletteDepthsAndTransparency) {
  const std::string palette = png_chunk("PLTE", "\x0a\x14\x1e\xff\xff\xff");
  // Two pixels of one bit: index 0 and 1.
  EXPECT_EQ(decode(encode_png(2, 1, 1, kPalette, "\x40", palette), 3).to_doubles(),
            (std::vector<double>{10, 255, 20, 255, 30, 255}));
  EXPECT_EQ(decode(encode_png(2, 1, 1, kGrey, "\x40"), 1).to_doubles(),
            (std::vector<double>{0, 255}));
  // Opaque, and wholly transparent white over black.
  EXPECT_EQ(
      decode(encode_png(2, 1, 8, kRgbAlpha, std::string_view("\1\2\3\xff\xff\xff\xff\0", 8)), 3)
          .to_doubles(),
      (std::vector<double>{1, 0, 2, 0, 3, 0}));
}

TEST(Png, RefusesDamage) {
  EXPECT_EQ(refusal(""), "png \"f\": must begin with the PNG signature, got other bytes");
  EXPECT_EQ(refusal("GIF89a.........."),
            "png \"f\": must begin with the PNG signature, got other bytes");
  const std::string good = encode_png(2, 2, 8, kGrey, "abcd");
  EXPECT_EQ(refusal(good.substr(0, 20)),
            "png \"f\": must be undamaged, got \"read beyond end of "
            "data\"");
  EXPECT_EQ(refusal(good.substr(0, good.size() - 20)),
            "png \"f\": must be undamaged, got \"read beyond end of data\"");
  std::string flipped = good;
  flipped[20] ^= 1;
  EXPECT_EQ(refusal(flipped), "png \"f\": must be undamaged, got \"IHDR: CRC error\"");
  EXPECT_EQ(refusal(encode_png(100000, 100000, 8, kGrey, std::string(100000, 'x'))),
            "png \"f\": must have at most 268435456 bytes of pixels, got 1 x 100000 x 100000");
  EXPECT_EQ(error_of([&] { (void)decode(good, 4); }), "png \"f\": channels must be 1 or 3, got 4");
}

TEST(Png, ReadsFiles) {
  const TempDir dir;
  const std::string content = encode_png(1, 1, 8, kGrey, "x");
  write_file(dir / "plain.png", content);
  write_file(dir / "packed.png.gz", gzip_stored(content));
  EXPECT_EQ(read_png(dir / "plain.png", 1).view().get_int(0), 'x');
  EXPECT_EQ(read_png(dir / "packed.png.gz", 1).view().get_int(0), 'x');
  write_file(dir / "bad.png", "bad");
  EXPECT_EQ(error_of([&] { (void)read_png(dir / "bad.png", 1); }),
            fmt::format("png \"{}\": must begin with the PNG signature, got other bytes",
                        (dir / "bad.png").string()));
}

}  // namespace
}  // namespace ingot::data
