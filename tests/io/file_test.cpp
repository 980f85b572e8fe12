#include "ingot/io/file.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "ingot/base/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace ingot::io {
namespace {

using testing_support::error_of;
using testing_support::TempDir;

std::ptrdiff_t files_in(const std::filesystem::path& folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A soft limit on file size for one scope; writing past it fails with EFBIG, as a full disk fails
// with ENOSPC.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    old_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old_);
    rlimit limit = old_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  void (*old_handler_)(int);
};

TEST(File, ReadsWholeAndMapped) {
  const TempDir dir;
  const std::string content = std::string("a\0b\n", 4) + std::string(100000, 'x');
  write_file_atomically(dir / "f", content);
  EXPECT_EQ(text_of(read_file(dir / "f")), content);
  EXPECT_EQ(read_text_file(dir / "f"), content);
  MappedFile mapped(dir / "f");
  write_file_atomically(dir / "f", "new");
  EXPECT_EQ(text_of(mapped.bytes()), content);
  MappedFile moved = std::move(mapped);
  EXPECT_EQ(text_of(moved.bytes()), content);
  moved = MappedFile(dir / "f");
  EXPECT_EQ(text_of(moved.bytes()), "new");
  write_file_atomically(dir / "empty", "");
  EXPECT_TRUE(MappedFile(dir / "empty").bytes().empty());
  EXPECT_TRUE(read_file(dir / "empty").empty());
}

TEST(File, ReadErrors) {
  const TempDir dir;
  const std::string missing = (dir / "missing").string();
  const std::string text =
      fmt::format("file \"{}\": must be readable, got no such file or directory", missing);
  EXPECT_EQ(error_of([&] { (void)read_file(missing); }), text);
  EXPECT_EQ(error_of([&] { (void)read_text_file(missing); }), text);
  EXPECT_EQ(error_of([&] { MappedFile file(missing); }), text);
  EXPECT_EQ(error_of([&] { (void)read_file(dir.path()); }),
            fmt::format("file \"{}\": must be a regular file, got a folder", dir.path().string()));
  EXPECT_EQ(error_of([&] { (void)read_file("/dev/null"); }),
            "file \"/dev/null\": must be a regular file, got a special file");
  try {
    (void)read_file(missing);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::not_found);
    EXPECT_EQ(error.kind(), ErrorKind::user);
  }
}

TEST(AtomicFile, ReplacesOnlyAtCommit) {
  const TempDir dir;
  write_file_atomically(dir / "f", "old");
  {
    AtomicFile file(dir / "f");
    file.write("ne");
    file.write("w");
    EXPECT_EQ(read_text_file(dir / "f"), "old");
    file.commit();
  }
  EXPECT_EQ(read_text_file(dir / "f"), "new");
  {
    AtomicFile(dir / "f").write("abandoned");
  }
  EXPECT_EQ(read_text_file(dir / "f"), "new");
  EXPECT_EQ(files_in(dir.path()), 1);
}

TEST(AtomicFile, HonoursTheUmaskAndFollowsLinks) {
  const TempDir dir;
  const mode_t old_mask = ::umask(027);
  write_file_atomically(dir / "f", "x");
  ::umask(old_mask);
  struct stat status{};
  ASSERT_EQ(::stat((dir / "f").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640);
  std::filesystem::create_symlink("f", dir / "link");
  write_file_atomically(dir / "link", "y");
  EXPECT_TRUE(std::filesystem::is_symlink(dir / "link"));
  EXPECT_EQ(read_text_file(dir / "f"), "y");
}

TEST(AtomicFile, WorksInTheCurrentFolder) {
  const TempDir dir;
  const auto old = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  write_file_atomically("plain", "x");
  std::filesystem::current_path(old);
  EXPECT_EQ(read_text_file(dir / "plain"), "x");
}

TEST(AtomicFile, FullDiskLeavesTheOldFile) {
  const TempDir dir;
  write_file_atomically(dir / "f", "old");
  {
    const FileSizeLimit limit(4096);
    const std::string expected =
        fmt::format("file \"{}\": must be writable, got file too large", (dir / "f").string());
    EXPECT_EQ(error_of([&] { write_file_atomically(dir / "f", std::string(10000, 'x')); }),
              expected);
    AtomicFile file(dir / "f");
    EXPECT_EQ(error_of([&] { file.write(std::string(10000, 'x')); }), expected);
    EXPECT_EQ(error_of([&] { file.write("x"); }),
              fmt::format("file \"{}\": nothing can be written after commit or a failure, got 1 "
                          "bytes",
                          (dir / "f").string()));
    EXPECT_EQ(error_of([&] { file.commit(); }),
              fmt::format("file \"{}\": must be committed once, got another commit or one after a "
                          "failure",
                          (dir / "f").string()));
    EXPECT_EQ(files_in(dir.path()), 1);
  }
  EXPECT_EQ(read_text_file(dir / "f"), "old");
}

TEST(File, MakesWritableFolders) {
  const TempDir dir;
  make_writable_folder(dir / "a" / "b");
  make_writable_folder(dir / "a" / "b");  // it may be there
  EXPECT_TRUE(std::filesystem::is_empty(dir / "a" / "b"));
  write_file_atomically(dir / "file", "");
  EXPECT_EQ(
      error_of([&] { make_writable_folder(dir / "file"); }),
      fmt::format("file \"{}\": must be a folder, got not a directory", (dir / "file").string()));
}

TEST(AtomicFile, OtherFailures) {
  const TempDir dir;
  const std::string nowhere = (dir / "no" / "f").string();
  EXPECT_EQ(error_of([&] { AtomicFile file(nowhere); }),
            fmt::format("file \"{}\": must be writable, got no such file or directory", nowhere));
  // A folder in the place of the file is only found out by the rename.
  std::filesystem::create_directories(dir / "folder");
  EXPECT_EQ(
      error_of([&] { write_file_atomically(dir / "folder", "x"); }),
      fmt::format("file \"{}\": must be writable, got is a directory", (dir / "folder").string()));
  EXPECT_EQ(files_in(dir.path()), 1);
}

// The process is killed at any point: the file has the old or the new content, never a mixture.
TEST(AtomicFile, SurvivesAKill) {
  const TempDir dir;
  const std::string old_content(200000, 'o');
  const std::string new_content(200000, 'n');
  write_file_atomically(dir / "f", old_content);
  for (int delay_us = 0; delay_us < 2000; delay_us += 100) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) {
        write_file_atomically(dir / "f", new_content);
        write_file_atomically(dir / "f", old_content);
      }
    }
    ::usleep(static_cast<useconds_t>(delay_us));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::string content = read_text_file(dir / "f");
    ASSERT_TRUE(content == old_content || content == new_content) << content.size();
  }
}

}  // namespace
}  // namespace ingot::io
