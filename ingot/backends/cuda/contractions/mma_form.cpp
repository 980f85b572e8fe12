#include "ingot/backends/cuda/contractions/mma_form.h"

#include <algorithm>
#include <array>

namespace ingot::cuda {
namespace {

constexpr std::array kForms{MmaForm{128, 256, 64, 2, 4, 1, 4}, MmaForm{128, 128, 128, 2, 4, 1, 3},
                            MmaForm{256, 64, 64, 4, 2, 1, 4},  MmaForm{128, 64, 128, 4, 2, 1, 3},
                            MmaForm{64, 128, 128, 2, 4, 1, 3}, MmaForm{64, 64, 128, 2, 2, 2, 4},
                            MmaForm{64, 64, 128, 2, 2, 1, 4},  MmaForm{64, 64, 128, 2, 2, 2, 6},
                            MmaForm{64, 64, 256, 2, 2, 2, 3},  MmaForm{128, 32, 128, 4, 1, 2, 4},
                            MmaForm{128, 32, 128, 4, 1, 2, 6}, MmaForm{32, 128, 128, 1, 4, 2, 4},
                            MmaForm{64, 32, 128, 2, 1, 4, 4},  MmaForm{64, 32, 128, 2, 1, 4, 8},
                            MmaForm{64, 32, 256, 2, 1, 4, 4},  MmaForm{32, 64, 128, 1, 2, 4, 4},
                            MmaForm{32, 64, 256, 1, 2, 4, 4},  MmaForm{32, 32, 128, 1, 1, 4, 4},
                            MmaForm{32, 32, 256, 1, 1, 8, 4},  MmaForm{32, 16, 256, 1, 1, 8, 4},
                            MmaForm{16, 32, 256, 1, 1, 8, 4}};

constexpr std::array kClusters{1, 2, 4, 8};
constexpr std::array kParts{1, 2, 4, 8, 16, 32, 64, 128};
constexpr std::int64_t kMostPartials = 8 << 20;

// Fitted to the times of bench/mma_bench on an H200, in cycles. Of one multiprocessor: products a
// cycle of 4-byte terms, twice as many of 2-byte ones; bytes a cycle from the second-level cache;
// instructions of threads a cycle.
constexpr double kProducts = 319;
constexpr double kBytes = 34;
constexpr double kCopy = 0.131;   // of a copy
constexpr double kStore = 0.185;  // of a result
constexpr double kStart = 2876;   // from the launch to the first slab
constexpr double kWave = 1424;    // the same of blocks that wait for others to end
constexpr double kSlab = 890;     // latency of a slab, spread over the stages
constexpr double kSlabEnd = 104;  // barrier of a slab, when nothing hides it
constexpr double kStep = 121;     // a slab as one warp sees it, and 16 x 16 sums of a step in it
constexpr double kMultiply = 44;
constexpr double kCluster = 2979;     // both barriers
constexpr double kClusterPart = 372;  // a block's sums read by the others
constexpr double kSecond = 3869;      // another kernel
constexpr double kPart = 12.7;        // a part in it
constexpr int kShared = 227 << 10;
constexpr int kMostThreads = 2048;
constexpr int kMostBlocks = 8;  // of a multiprocessor that share it well

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

int slab_bytes(int bmn, const MmaForm& form, const MmaOperand& operand, DType dtype) {
  const int size = static_cast<int>(dtype_size(dtype));
  if (!operand.k_lines) return bmn * (form.bk_bytes + 16);
  return form.bk(dtype) * (bmn * size + (size == 4 ? 32 : 16));
}

double cycles_of(const MmaForm& form, const MmaProblem& p, int cluster, int parts,
                 int multiprocessors) {
  const auto size = static_cast<double>(dtype_size(p.dtype));
  const double outputs = form.bm * form.bn;
  const double bk = form.bk(p.dtype);
  const double slabs = std::max(1.0, p.mean_terms / cluster / parts / bk);
  const double multiply = outputs * bk / (kProducts * 4 / size);
  const double bytes = (form.bm + form.bn) * bk * size / kBytes;
  const double copies = bk * size *
                        (form.bm / static_cast<double>(p.a.copy_bytes) +
                         form.bn / static_cast<double>(p.b.copy_bytes));
  // Copies issue beside products; 4-byte terms are rounded, too.
  const double beside = size == 4 ? 1.52 : 0.68;
  const double slab = std::max({multiply + kSlabEnd, bytes, copies * kCopy + beside * multiply});
  const std::int64_t blocks = mma_tiles(form, p) * cluster * parts;
  const std::int64_t share = ceil_div(blocks, multiprocessors);
  const int fit = std::min(
      {kShared / (mma_shared_bytes(form, p) + 1024), kMostThreads / form.threads(), kMostBlocks});
  const std::int64_t resident = std::min<std::int64_t>(std::max(fit, 1), share);
  const auto waves = static_cast<double>(ceil_div(share, resident));
  const double warp = outputs / (256.0 * form.warps_m * form.warps_n) * form.bk_bytes / 32 /
                      form.warps_k * kMultiply;
  const double latency = waves * slabs * std::max(kSlab / (form.stages - 1), kStep + warp);
  const double end = outputs * kStore * (1 + 0.32 * (form.warps_k - 1)) / cluster +
                     (cluster > 1 ? kClusterPart * cluster : 0);
  return kStart + kWave * (waves - 1) +
         std::max(latency, static_cast<double>(share) * slabs * slab) +
         static_cast<double>(share) * end + (cluster > 1 ? kCluster : 0) +
         (parts > 1 ? kSecond + parts * kPart : 0);
}

}  // namespace

int mma_shared_bytes(const MmaForm& form, const MmaProblem& p) {
  const int stage =
      slab_bytes(form.bm, form, p.a, p.dtype) + slab_bytes(form.bn, form, p.b, p.dtype);
  return std::max(form.stages * stage, form.warps_k * form.bm * (form.bn + 8) * 4);
}

bool fits(const MmaForm& form, const MmaProblem& p) {
  const auto lines = [&](int bmn, const MmaOperand& operand) {
    const int size = static_cast<int>(dtype_size(p.dtype));
    const int across = (operand.k_lines ? bmn : form.bk(p.dtype)) * size / operand.copy_bytes;
    return form.threads() % across == 0;
  };
  return mma_shared_bytes(form, p) <= kShared && lines(form.bm, p.a) && lines(form.bn, p.b);
}

std::int64_t mma_tiles(const MmaForm& form, const MmaProblem& p) {
  return p.groups * ceil_div(p.m, form.bm) * ceil_div(p.n, form.bn);
}

std::vector<MmaChoice> mma_choices(const MmaProblem& p, int multiprocessors) {
  std::vector<MmaChoice> choices;
  for (const MmaForm& form : kForms) {
    if (!fits(form, p)) continue;
    for (const int cluster : kClusters) {
      if (cluster > 1 && p.k < static_cast<std::int64_t>(cluster) * form.bk(p.dtype)) break;
      for (const int parts : kParts) {
        // Cut by one means or both.
        const bool mixed = cluster > 1 && cluster < kClusters.back();
        if (parts > 1 && (mixed || parts * p.groups * p.m * p.n > kMostPartials ||
                          p.k < std::int64_t{2} * parts * cluster * form.bk(p.dtype))) {
          break;
        }
        choices.push_back(
            {form, cluster, parts, cycles_of(form, p, cluster, parts, multiprocessors)});
      }
    }
  }
  std::ranges::stable_sort(choices, {}, &MmaChoice::cycles);
  return choices;
}

MmaChoice choose_mma(const MmaProblem& problem, int multiprocessors) {
  return mma_choices(problem, multiprocessors).front();
}

}  // namespace ingot::cuda
