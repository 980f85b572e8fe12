// Memory that ends where a page begins that may be neither read nor written.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>

namespace ingot {

/// A read or a write behind its last byte ends the program, also where no sanitizer looks. Filled
/// with 0xff: NaN as a float, -1 as an integer.
class GuardedMemory {
 public:
  /// `alignment` of data(), a power of two; up to that many bytes but one lie between the end and
  /// the page.
  explicit GuardedMemory(std::size_t bytes, std::size_t alignment = 1)
      : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))),
        pages_((bytes + alignment + page_ - 1) / page_ * page_),
        rounded_((bytes + alignment - 1) / alignment * alignment) {
    void* const mapped =
        mmap(nullptr, pages_ + page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    begin_ = static_cast<std::byte*>(mapped);
    std::memset(begin_, 0xff, pages_);
    if (mprotect(begin_ + pages_, page_, PROT_NONE) != 0) throw std::bad_alloc();
  }
  ~GuardedMemory() { munmap(begin_, pages_ + page_); }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  [[nodiscard]] std::byte* data() const { return begin_ + pages_ - rounded_; }
  /// Where the page begins.
  [[nodiscard]] const std::byte* end() const { return begin_ + pages_; }

 private:
  std::size_t page_;
  std::size_t pages_;  ///< bytes
  std::size_t rounded_;
  std::byte* begin_ = nullptr;
};

}  // namespace ingot
