#include "ingot/data/image_folder.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>

#include "ingot/data/data_spec.h"
#include "ingot/data/jpeg.h"
#include "tests/data/support/jpegs.h"
#include "tests/support/encode.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace ingot::data {
namespace {

using namespace testing_support;  // NOLINT: the encoders

constexpr const char* kHelp =
    "\nhelp: images lie in train/CLASS/ and test/CLASS/ as .jpg, .jpeg or .png";

/// 2x1 pixels.
std::string grey_png(char left) { return encode_png(2, 1, 8, 0, std::string{left, 'z'}); }
std::string colour_png() { return encode_png(2, 1, 8, 2, "\1\2\3\4\5\6"); }

class ImageFolder : public testing::Test {
 protected:
  void put(const std::string& path, std::string_view content) {
    std::filesystem::create_directories((dir_ / path).parent_path());
    write_file(dir_ / path, content);
  }
  void put_two_classes() {
    put("train/cat/0.png", grey_png('a'));
    put("train/dog/0.png", grey_png('b'));
    put("test/dog/7.png", grey_png('c'));
  }
  [[nodiscard]] std::string refusal() const {
    return error_of([&] { (void)load_image_folder(dir_.path()); });
  }
  [[nodiscard]] std::string folder() const { return dir_.path().string(); }

  TempDir dir_;
};

TEST_F(ImageFolder, IsReadInTheOrderOfNames) {
  put_two_classes();
  put("train/dog/1.PNG", grey_png('d'));
  put("train/ant/9.png", grey_png('e'));
  put("train/cat/notes.txt", "passed over");
  const DatasetPair pair = load_data("folder:" + folder());
  EXPECT_EQ(pair.train.class_names, (std::vector<std::string>{"ant", "cat", "dog"}));
  EXPECT_EQ(pair.train.description(), fmt::format("{} train: 4 images u8[1,1,2], 3 classes",
                                                  dir_.path().filename().string()));
  EXPECT_EQ(pair.train.labels.to_doubles(), (std::vector<double>{0, 1, 2, 2}));
  EXPECT_EQ(pair.train.images.to_doubles(),
            (std::vector<double>{'e', 'z', 'a', 'z', 'b', 'z', 'd', 'z'}));
  EXPECT_EQ(pair.test.labels.to_doubles(), (std::vector<double>{2}));
  EXPECT_EQ(pair.test.images.to_doubles(), (std::vector<double>{'c', 'z'}));
  EXPECT_EQ(pair.test.class_count, 3);
}

TEST_F(ImageFolder, GreyAmongColourBecomesColour) {
  put_two_classes();
  put("train/cat/1.png", colour_png());
  const DatasetPair pair = load_image_folder(dir_.path());
  EXPECT_EQ(pair.train.images.to_doubles(),
            (std::vector<double>{'a', 'z', 'a', 'z', 'a', 'z', 1, 4, 2, 5, 3, 6, 'b', 'z', 'b', 'z',
                                 'b', 'z'}));
  EXPECT_EQ(pair.test.images.to_doubles(), (std::vector<double>{'c', 'z', 'c', 'z', 'c', 'z'}));
}

TEST_F(ImageFolder, HoldsJpegImages) {
  if (jpeg_library_version().starts_with("missing")) GTEST_SKIP() << "built without libjpeg";
  put("train/cat/0.jpg", colour_jpeg());
  put("train/dog/0.JPEG", grey_jpeg());
  put("test/dog/0.jpg", colour_jpeg());
  const DatasetPair pair = load_image_folder(dir_.path());
  EXPECT_EQ(pair.train.images.type().to_string(), "u8[2,3,8,16]");
  EXPECT_EQ(pair.test.images.bytes()[0], pair.train.images.bytes()[0]);
  put("train/dog/1.jpg", colour_jpeg().substr(0, 200));
  put("train/dog/2.jpg", "GIF");
  EXPECT_EQ(refusal(),
            fmt::format("jpeg \"{}/train/dog/1.jpg\": must be undamaged, got \"Premature "
                        "end of JPEG file\"",
                        folder()));
}

TEST_F(ImageFolder, Errors) {
  EXPECT_EQ(
      error_of([&] { (void)load_image_folder(dir_ / "no"); }),
      fmt::format("folder \"{}/no\": must be a folder, got nothing there{}", folder(), kHelp));
  EXPECT_EQ(refusal(), fmt::format("folder \"{}\": must hold the folders train and test, got no "
                                   "train{}",
                                   folder(), kHelp));
  put("train/cat/0.png", grey_png('a'));
  EXPECT_EQ(refusal(), fmt::format("folder \"{}\": train/ must hold at least two classes, got 1{}",
                                   folder(), kHelp));
  put("train/dog/0.txt", "");
  EXPECT_EQ(refusal(), fmt::format("folder \"{}\": must hold the folders train and test, got no "
                                   "test{}",
                                   folder(), kHelp));
  std::filesystem::create_directory(dir_ / "test");
  EXPECT_EQ(refusal(),
            fmt::format("folder \"{}\": class \"dog\" of train/ must hold images, got none{}",
                        folder(), kHelp));
  put("train/dog/0.png", grey_png('b'));
  EXPECT_EQ(refusal(),
            fmt::format("folder \"{}\": test/ must hold images, got none{}", folder(), kHelp));
  put("test/dog/0.png", encode_png(1, 2, 8, 0, "ab"));
  EXPECT_EQ(refusal(),
            fmt::format("folder \"{}\": images must be of one size, 1x2 as the first, got "
                        "2x1 in \"test/dog/0.png\"{}",
                        folder(), kHelp));
  put("test/dog/0.png", colour_png());
  EXPECT_EQ(refusal(),
            fmt::format("folder \"{}\": images of test/ must be grey as those of train/, "
                        "got one of colour{}",
                        folder(), kHelp));
  put("test/zebra/0.png", grey_png('a'));
  EXPECT_EQ(refusal(), fmt::format("folder \"{}\": test/ must hold classes of train/ alone, got "
                                   "\"zebra\"{}",
                                   folder(), kHelp));
}

}  // namespace
}  // namespace ingot::data
