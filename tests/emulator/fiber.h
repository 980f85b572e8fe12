// Threads of a kernel: each with a stack, switched by hand.
#pragma once

#include <cstddef>
#include <memory>

namespace ingot::emulator {

/// Where a thread of control stopped.
struct Context {
  void* state = nullptr;
};

/// Saves where the caller is in `from` and goes on at `to`.
void switch_context(Context& from, const Context& to);

/// Memory for stacks of one size; pages are used when touched.
class Stacks {
 public:
  explicit Stacks(std::size_t count);
  ~Stacks();
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  /// A context that calls `entry` on stack `index` when it is switched to; entry never returns.
  [[nodiscard]] Context start(std::size_t index, void (*entry)()) const;

 private:
  std::size_t count_;
  char* memory_;
  struct Native;
  std::unique_ptr<Native[]> native_;
};

}  // namespace ingot::emulator
