// Marks calls into other people's libraries.
#pragma once

namespace ingot {

/// While one is alive, this thread runs code of a library that allocates as it likes. Counters of
/// allocations tell by it what is Ingot's and what is the library's.
class VendorCall {
 public:
  VendorCall() noexcept { ++depth(); }
  ~VendorCall() { --depth(); }
  VendorCall(const VendorCall&) = delete;
  VendorCall& operator=(const VendorCall&) = delete;

  [[nodiscard]] static bool active() noexcept { return depth() > 0; }

 private:
  static int& depth() noexcept {
    thread_local int value = 0;
    return value;
  }
};

}  // namespace ingot
