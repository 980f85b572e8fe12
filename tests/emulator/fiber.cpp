#include "tests/emulator/fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>
#include <new>

namespace ingot::emulator {
namespace {

constexpr std::size_t kStackBytes = 64 << 10;

}  // namespace

Stacks::~Stacks() { munmap(memory_, count_ * kStackBytes); }

#ifdef __x86_64__

struct Stacks::Native {};

// Saves what a call must keep, on the stack.
asm(R"(
.text
.p2align 4
.type ingot_emulator_switch, @function
ingot_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size ingot_emulator_switch, . - ingot_emulator_switch
)");
extern "C" void ingot_emulator_switch(void** from, void* to);

void switch_context(Context& from, const Context& to) {
  ingot_emulator_switch(&from.state, to.state);
}

Stacks::Stacks(std::size_t count) : count_(count) {
  void* memory = mmap(nullptr, count * kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<char*>(memory);
}

Context Stacks::start(std::size_t index, void (*entry)()) const {
  auto* top = reinterpret_cast<std::uintptr_t*>(memory_ + (index + 1) * kStackBytes);
  // At a function's entry the stack is 8 bytes past a multiple of 16; ret takes the address.
  std::uintptr_t* address = top - 4;
  address[0] = reinterpret_cast<std::uintptr_t>(entry);
  address[1] = 0;
  for (int saved = 1; saved <= 6; ++saved) address[-saved] = 0;
  return {address - 6};
}

#else

struct Stacks::Native {
  ucontext_t context;
};

void switch_context(Context& from, const Context& to) {
  ucontext_t here;
  if (from.state == nullptr) from.state = &here;
  swapcontext(static_cast<ucontext_t*>(from.state), static_cast<ucontext_t*>(to.state));
  if (from.state == &here) from.state = nullptr;
}

Stacks::Stacks(std::size_t count) : count_(count), native_(new Native[count]) {
  void* memory = mmap(nullptr, count * kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<char*>(memory);
}

Context Stacks::start(std::size_t index, void (*entry)()) const {
  ucontext_t& context = native_[index].context;
  getcontext(&context);
  context.uc_stack.ss_sp = memory_ + index * kStackBytes;
  context.uc_stack.ss_size = kStackBytes;
  context.uc_link = nullptr;
  makecontext(&context, entry, 0);
  return {&context};
}

#endif

}  // namespace ingot::emulator
