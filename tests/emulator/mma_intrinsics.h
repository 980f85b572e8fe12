// ingot/backends/cuda/device/mma_intrinsics.inc for the CPU: tensor cores, copies in groups and
// clusters. Addresses in shared memory are offsets from where the block's begins.
#pragma once

struct MmaTf32 {};
struct MmaBf16 {};
struct MmaF16 {};

namespace ingot::emulator {

inline char* shared_at(u32 address) { return here().fixed_shared + address; }

struct MatrixRows {
  u32 address;
  u32* out;
};
/// Four matrices of 8 x 8 halves: lane 8 i + r gives row r of matrix i.
template <bool TRANSPOSED>
void load_matrices(unsigned mask, void* const* lanes) {
  if (mask != 0xffffffffu) table->fail("ldmatrix by a part of a warp");
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const auto half = [&](int row, int column) {
        const u32 address = ((MatrixRows*)lanes[8 * i + row])->address;
        if (address % 16 != 0) table->fail("ldmatrix of a row that is not aligned");
        return (u32)((const u16*)shared_at(address))[column];
      };
      const int slow = lane / 4, fast = lane % 4 * 2;
      const u32 low = TRANSPOSED ? half(fast, slow) : half(slow, fast);
      const u32 high = TRANSPOSED ? half(fast + 1, slow) : half(slow, fast + 1);
      ((MatrixRows*)lanes[lane])->out[i] = low | high << 16;
    }
  }
}

struct Operands {
  float* c;
  const u32* a;
  u32 b[2];
};
/// c(16, 8) += a(16, K) b(K, 8); PER values of 32 / PER bits a word.
template <int PER, class Convert>
void multiply(void* const* lanes, Convert convert) {
  constexpr int kTerms = 8 * PER;
  float a[16][kTerms], b[kTerms][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& own = *(const Operands*)lanes[lane];
    const int slow = lane / 4, fast = lane % 4 * PER;
    for (int p = 0; p < PER; ++p) {
      for (int q = 0; q < 4; ++q) {
        a[slow + q % 2 * 8][fast + q / 2 * 4 * PER + p] = convert(own.a[q], p);
      }
      for (int q = 0; q < 2; ++q) b[fast + q * 4 * PER + p][slow] = convert(own.b[q], p);
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    const auto& own = *(const Operands*)lanes[lane];
    for (int q = 0; q < 4; ++q) {
      const int row = lane / 4 + q / 2 * 8, column = lane % 4 * 2 + q % 2;
      float sum = own.c[q];
      for (int k = 0; k < kTerms; ++k) sum += a[row][k] * b[k][column];
      own.c[q] = sum;
    }
  }
}
inline void multiply_tf32(unsigned mask, void* const* lanes) {
  if (mask != 0xffffffffu) table->fail("mma by a part of a warp");
  // The tensor cores ignore the bits that the format lacks.
  multiply<1>(lanes, [](u32 word, int) { return __uint_as_float(word & 0xffffe000u); });
}
inline void multiply_bf16(unsigned mask, void* const* lanes) {
  if (mask != 0xffffffffu) table->fail("mma by a part of a warp");
  multiply<2>(lanes, [](u32 word, int p) { return __uint_as_float(word >> 16 * p << 16); });
}
inline void multiply_f16(unsigned mask, void* const* lanes) {
  if (mask != 0xffffffffu) table->fail("mma by a part of a warp");
  multiply<2>(lanes, [](u32 word, int p) { return half_to_float((u16)(word >> 16 * p)); });
}

inline void mma(float* c, const u32* a, u32 b0, u32 b1, Collective work) {
  Operands own{c, a, {b0, b1}};
  table->collective(0xffffffffu, &own, work);
}

}  // namespace ingot::emulator

DEV u32 smem_address(const void* p) {
  return (u32)((const char*)p - ingot::emulator::here().fixed_shared);
}

template <int BYTES, bool>
DEV void cp_async(u32 to, const void* from, bool valid) {
  ingot::emulator::add_copy(ingot::emulator::shared_at(to), valid ? from : nullptr, BYTES);
}
DEV void cp_async_commit() { ++ingot::emulator::here().copy_group; }
template <int N>
DEV void cp_async_wait() {
  const u32 group = ingot::emulator::here().copy_group;
  ingot::emulator::make_copies(group > (u32)N ? group - (u32)N : 0);
}

DEV void ldmatrix_x4(u32 (&r)[4], u32 row) {
  ingot::emulator::MatrixRows own{row, r};
  ingot::emulator::table->collective(0xffffffffu, &own, ingot::emulator::load_matrices<false>);
}
DEV void ldmatrix_x4_trans(u32 (&r)[4], u32 row) {
  ingot::emulator::MatrixRows own{row, r};
  ingot::emulator::table->collective(0xffffffffu, &own, ingot::emulator::load_matrices<true>);
}

DEV void mma(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1, MmaTf32) {
  ingot::emulator::mma(c, a, b0, b1, ingot::emulator::multiply_tf32);
}
DEV void mma(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1, MmaBf16) {
  ingot::emulator::mma(c, a, b0, b1, ingot::emulator::multiply_bf16);
}
DEV void mma(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1, MmaF16) {
  ingot::emulator::mma(c, a, b0, b1, ingot::emulator::multiply_f16);
}

DEV u32 cluster_rank() { return ingot::emulator::here().cluster_rank; }
DEV void cluster_barrier() { ingot::emulator::table->wait_cluster(); }
DEV float4 cluster_load(u32 address, u32 rank) {
  const char* local = ingot::emulator::shared_at(address);
  return *(const float4*)ingot::emulator::table->cluster_shared(local, rank);
}
