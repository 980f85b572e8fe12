// Barriers, warps' exchanges, atomics and the like on the CPU. Part of device.h.
#pragma once

inline void __syncthreads() { ingot::emulator::table->wait_block(0, 0); }
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) { ingot::emulator::table->yield(); }
inline void __trap() { ingot::emulator::table->fail("__trap()"); }
inline long long clock64() {
  static long long ticks = 0;
  return ++ticks;
}
inline unsigned long long __cvta_generic_to_shared(const void* p) { return (unsigned long long)p; }

namespace ingot::emulator {

struct Exchange {
  unsigned long long value = 0;
  int from = 0;  ///< lane whose value this one gets
  unsigned long long got = 0;
};
inline void exchange(unsigned mask, void* const* lanes) {
  for (int lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    auto* own = (Exchange*)lanes[lane];
    if ((mask >> own->from & 1u) == 0) table->fail("a shuffle from a lane that takes no part");
    own->got = ((Exchange*)lanes[own->from])->value;
  }
}
/// Each lane gets a word with a bit for every lane.
inline void vote(unsigned mask, void* const* lanes) {
  unsigned all = 0;
  for (int lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1u) != 0 && ((Exchange*)lanes[lane])->value != 0) all |= 1u << lane;
  }
  for (int lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1u) != 0) ((Exchange*)lanes[lane])->got = all;
  }
}
inline void meet(unsigned, void* const*) {}

template <class T>
T shuffle(unsigned mask, T value, int from, bool in_range) {
  static_assert(sizeof(T) <= 8);
  Exchange lane;
  memcpy(&lane.value, &value, sizeof(T));
  lane.from = in_range ? from : (int)here().lane;
  table->collective(mask, &lane, exchange);
  memcpy(&value, &lane.got, sizeof(T));
  return value;
}
inline unsigned ballot(unsigned mask, bool yes) {
  Exchange lane;
  lane.value = yes ? 1 : 0;
  table->collective(mask, &lane, vote);
  return (unsigned)lane.got;
}

}  // namespace ingot::emulator

template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
  const int lane = (int)ingot::emulator::here().lane;
  return ingot::emulator::shuffle(mask, value, lane / width * width + (from & (width - 1)), true);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int lane = (int)ingot::emulator::here().lane;
  const bool inside = lane % width + (int)by < width;
  return ingot::emulator::shuffle(mask, value, lane + (int)by, inside);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int lane = (int)ingot::emulator::here().lane;
  const bool inside = lane % width >= (int)by;
  return ingot::emulator::shuffle(mask, value, lane - (int)by, inside);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int by, int width = 32) {
  const int lane = (int)ingot::emulator::here().lane;
  const bool inside = (lane ^ by) / width <= lane / width;
  return ingot::emulator::shuffle(mask, value, lane ^ by, inside);
}
inline unsigned __ballot_sync(unsigned mask, int yes) {
  return ingot::emulator::ballot(mask, yes != 0);
}
inline int __any_sync(unsigned mask, int yes) {
  return ingot::emulator::ballot(mask, yes != 0) != 0;
}
inline int __all_sync(unsigned mask, int yes) {
  return ingot::emulator::ballot(mask, yes == 0) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  ingot::emulator::table->collective(mask, nullptr, ingot::emulator::meet);
}
template <class T>
T ingot_reduce_sync(unsigned mask, T value, T (*apply)(T, T)) {
  T total = value;
  bool first = true;
  for (int lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    const T other = ingot::emulator::shuffle(mask, value, lane, true);
    total = first ? other : apply(total, other);
    first = false;
  }
  return total;
}
template <class T>
T __reduce_add_sync(unsigned mask, T value) {
  return ingot_reduce_sync<T>(mask, value, [](T a, T b) { return a + b; });
}
template <class T>
T __reduce_max_sync(unsigned mask, T value) {
  return ingot_reduce_sync<T>(mask, value, [](T a, T b) { return a < b ? b : a; });
}
template <class T>
T __reduce_min_sync(unsigned mask, T value) {
  return ingot_reduce_sync<T>(mask, value, [](T a, T b) { return b < a ? b : a; });
}

// Votes of a block, through a word of shared memory a barrier.
inline int ingot_block_votes(int yes) {
  using namespace ingot::emulator;
  static const unsigned at = reserve(sizeof(int));
  int& votes = *(int*)(here().fixed_shared + at);
  __syncthreads();
  votes = 0;
  __syncthreads();
  votes += yes != 0 ? 1 : 0;
  __syncthreads();
  const int all = votes;
  __syncthreads();
  return all;
}
inline int __syncthreads_count(int yes) { return ingot_block_votes(yes); }
inline int __syncthreads_or(int yes) { return ingot_block_votes(yes) != 0; }
inline int __syncthreads_and(int yes) { return ingot_block_votes(yes == 0) == 0; }

// Threads are switched at barriers alone, so that nothing here needs to be atomic.
template <class T>
struct ingot_same {
  using type = T;
};
template <class T>
T atomicExch(T* p, typename ingot_same<T>::type v) {
  const T before = *p;
  *p = v;
  return before;
}
template <class T>
T atomicCAS(T* p, typename ingot_same<T>::type expected, typename ingot_same<T>::type v) {
  const T before = *p;
  if (before == expected) *p = v;
  return before;
}
template <class T>
T atomicAdd(T* p, typename ingot_same<T>::type v) {
  return atomicExch(p, *p + v);
}
template <class T>
T atomicSub(T* p, typename ingot_same<T>::type v) {
  return atomicExch(p, *p - v);
}
template <class T>
T atomicMax(T* p, typename ingot_same<T>::type v) {
  return atomicExch(p, *p < v ? v : *p);
}
template <class T>
T atomicMin(T* p, typename ingot_same<T>::type v) {
  return atomicExch(p, v < *p ? v : *p);
}
template <class T>
T atomicOr(T* p, typename ingot_same<T>::type v) {
  return atomicExch(p, *p | v);
}
template <class T>
T atomicAnd(T* p, typename ingot_same<T>::type v) {
  return atomicExch(p, *p & v);
}
inline unsigned atomicInc(unsigned* p, unsigned most) {
  return atomicExch(p, *p >= most ? 0 : *p + 1);
}

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
T __ldca(const T* p) {
  return *p;
}
template <class T>
T __ldcv(const T* p) {
  return *(const volatile T*)p;
}
template <class T>
void __stcg(T* p, typename ingot_same<T>::type v) {
  *p = v;
}
template <class T>
void __stcs(T* p, typename ingot_same<T>::type v) {
  *p = v;
}
template <class T>
void __stwt(T* p, typename ingot_same<T>::type v) {
  *p = v;
}
