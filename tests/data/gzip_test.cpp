#include "ingot/data/gzip.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "tests/support/encode.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace ingot::data {
namespace {

using namespace testing_support;  // NOLINT: the encoders

class Gzip : public testing::Test {
 protected:
  std::string read(const std::string& content) {
    write_file(path_, content);
    const auto bytes = read_maybe_gzip(path_);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::string refusal(const std::string& content) {
    return error_of([&] { (void)read(content); });
  }
  TempDir dir_;
  std::filesystem::path path_ = dir_ / "f";
};

TEST_F(Gzip, ReadsPlainAndCompressed) {
  std::string large;
  for (int i = 0; i < 3'000'000; ++i) large += static_cast<char>(i * 7 >> 3);
  for (const std::string& content :
       {std::string(), std::string("x"), std::string(300, '\0'), large}) {
    EXPECT_EQ(read(content), content);
    EXPECT_EQ(read(gzip_stored(content)), content);
  }
  // Members one after another are one file.
  EXPECT_EQ(read(gzip_stored("ab") + gzip_stored("cd")), "abcd");
}

TEST_F(Gzip, RefusesDamage) {
  const std::string good = gzip_stored("some content");
  for (std::size_t size = 3; size < good.size(); ++size) {
    EXPECT_EQ(refusal(good.substr(0, size)),
              fmt::format("gzip \"{}\": must be undamaged, got the end of the file inside the "
                          "stream",
                          path_.string()))
        << size;
  }
  std::string flipped = good;
  flipped[20] ^= 1;
  EXPECT_EQ(refusal(flipped),
            fmt::format("gzip \"{}\": must be undamaged, got bytes that do not decompress",
                        path_.string()));
}

TEST_F(Gzip, OtherErrors) {
  write_file(path_, gzip_stored("12345"));
  EXPECT_EQ(read_maybe_gzip(path_, 5).size(), 5u);
  EXPECT_EQ(error_of([&] { (void)read_maybe_gzip(path_, 4); }),
            fmt::format("file \"{}\": must have at most 4 bytes, got more", path_.string()));
  EXPECT_EQ(error_of([&] { (void)read_maybe_gzip(dir_ / "no"); }),
            fmt::format("file \"{}\": must be readable, got no such file or directory",
                        (dir_ / "no").string()));
  EXPECT_EQ(error_of([&] { (void)read_maybe_gzip(dir_.path()); }),
            fmt::format("file \"{}\": must be readable, got is a directory", dir_.path().string()));
}

}  // namespace
}  // namespace ingot::data
