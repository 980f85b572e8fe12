// ingot/backends/cuda/device/intrinsics.inc for the CPU: the same functions with the same meaning.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
#define DEV static inline

DEV float half_to_float(u16 h) {
  const u32 sign = (u32)(h & 0x8000u) << 16;
  u32 exponent = h >> 10 & 0x1f;
  u32 fraction = h & 0x3ffu;
  if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | fraction << 13);
  if (exponent == 0) {
    const float small = (float)fraction * 5.9604644775390625e-8f;
    return sign != 0 ? -small : small;
  }
  return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
}
DEV u16 float_to_half(float f) {
  const u32 bits = __float_as_uint(f);
  const u16 sign = (u16)(bits >> 16 & 0x8000u);
  const float a = fabsf(f);
  if (isnan(f)) return 0x7fff;
  if (a >= 65520.0f) return (u16)(sign | 0x7c00);
  if (a < 6.103515625e-5f) return (u16)(sign | (u16)rintf(a * 16777216.0f));
  const u32 magnitude = bits & 0x7fffffffu;
  const u32 rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
  return (u16)(sign | (rounded - (112u << 23)) >> 13);
}
DEV u16 float_to_bfloat(float f) {
  const u32 bits = __float_as_uint(f);
  if (isnan(f)) return 0x7fff;
  return (u16)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

DEV void store_free(float* p, float v) { *p = v; }
DEV void store_free(u16* p, u16 v) { *p = v; }
DEV void store_free4(float* p, float a, float b, float c, float d) {
  *(float4*)p = make_float4(a, b, c, d);
}
DEV void store_shared(float* p, float v) { *p = v; }
DEV void store_shared4(float* p, float a, float b, float c, float d) { store_free4(p, a, b, c, d); }
DEV void store_free_if(bool c, float* p, float v) {
  if (c) *p = v;
}

DEV u64 add_acq_rel(u64* p, u64 v) { return atomicAdd(p, v); }
DEV void add_release(u64* p, u64 v) { atomicAdd(p, v); }
DEV u64 load_acquire(const u64* p) {
  ingot::emulator::table->yield();
  return *(const volatile u64*)p;
}

DEV void take_turn() {}

namespace ingot::emulator {

inline void add_copy(void* to, const void* from, unsigned bytes) {
  Thread& own = here();
  if ((unsigned long long)to % bytes != 0 || (unsigned long long)from % bytes != 0) {
    table->fail("an asynchronous copy that is not aligned to its size");
  }
  if (own.copy_count == kMostCopies) table->fail("more asynchronous copies than there is room for");
  Copy& copy = own.copies[own.copy_count++];
  copy = {to, from, bytes, own.copy_group, {}};
  if (from != nullptr) memcpy(copy.seen, from, bytes);
}
/// Makes the copies of all groups but those from `first_left` on.
inline void make_copies(unsigned first_left) {
  Thread& own = here();
  unsigned left = 0;
  for (unsigned i = 0; i < own.copy_count; ++i) {
    const Copy& copy = own.copies[i];
    if (copy.group >= first_left) {
      own.copies[left++] = copy;
    } else if (copy.from == nullptr) {
      memset(copy.to, 0, copy.bytes);
    } else {
      // Made at any moment since, it would have read either.
      if (__builtin_memcmp(copy.from, copy.seen, copy.bytes) != 0) {
        table->fail("memory that changed on the way of an asynchronous copy");
      }
      memcpy(copy.to, copy.from, copy.bytes);
    }
  }
  own.copy_count = left;
}

}  // namespace ingot::emulator

DEV u32 thread_here() { return threadIdx.x; }
DEV void copy_async16(void* to, const void* from) { ingot::emulator::add_copy(to, from, 16); }
DEV void copy_async4(void* to, const void* from) { ingot::emulator::add_copy(to, from, 4); }
DEV void copy_async_wait() { ingot::emulator::make_copies(~0u); }
