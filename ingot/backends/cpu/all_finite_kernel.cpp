// all_finite: one pass over the bits of all operands.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/parallel.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot {
namespace {

/// Bytes of one chunk: small operands share a task, large ones are split.
constexpr std::int64_t kChunkBytes = 32 << 10;
constexpr double kNanosecondsPerByte = 0.05;

std::int64_t bytes_of(DType dtype) noexcept { return static_cast<std::int64_t>(dtype_size(dtype)); }

/// Whether each of `count` numbers has one of the exponent's bits clear.
template <class Bits>
bool finite(const std::byte* data, std::int64_t count, Bits exponent) noexcept {
  unsigned wrong = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, data + i * static_cast<std::int64_t>(sizeof(Bits)), sizeof(Bits));
    wrong |= static_cast<unsigned>((bits & exponent) == exponent);
  }
  return wrong == 0;
}

bool finite(DType dtype, const std::byte* data, std::int64_t count) noexcept {
  switch (dtype) {
    case DType::f64: return finite<std::uint64_t>(data, count, 0x7ff0'0000'0000'0000);
    case DType::f16: return finite<std::uint16_t>(data, count, 0x7c00);
    case DType::bf16: return finite<std::uint16_t>(data, count, 0x7f80);
    default: return finite<std::uint32_t>(data, count, 0x7f80'0000);
  }
}

class AllFiniteKernel final : public Kernel {
 public:
  AllFiniteKernel(const KernelProblem& problem, const CpuBackend& backend)
      : pool_(backend.pool()), output_(problem.outputs[0]) {
    for (std::size_t i = 0; i < problem.inputs.size(); ++i) {
      const TensorType& type = problem.node.input_type(i);
      const std::int64_t size = problem.node.input(i).layout().physical_numel(type.shape);
      const std::int64_t chunk = kChunkBytes / bytes_of(type.dtype);
      for (std::int64_t begin = 0; begin < size; begin += chunk) {
        chunks_.push_back({problem.inputs[i], type.dtype, begin, std::min(chunk, size - begin)});
      }
      nanoseconds_ += static_cast<double>(size * bytes_of(type.dtype)) * kNanosecondsPerByte;
    }
  }
  [[nodiscard]] std::string_view name() const noexcept override { return "all-finite"; }

  void run(const KernelContext& context) noexcept override {
    std::atomic<bool> all{true};
    parallel_ranges(pool_, static_cast<std::int64_t>(chunks_.size()), 1, nanoseconds_,
                    [&](std::int64_t first, std::int64_t last, int) {
                      for (std::int64_t i = first; i < last; ++i) {
                        const Chunk& chunk = chunks_[static_cast<std::size_t>(i)];
                        const std::byte* data =
                            context.slots[chunk.slot] + chunk.begin * bytes_of(chunk.dtype);
                        if (!finite(chunk.dtype, data, chunk.count)) {
                          all.store(false, std::memory_order_relaxed);
                        }
                      }
                    });
    *context.at<std::uint8_t>(output_) = all.load() ? 1 : 0;
  }

 private:
  struct Chunk {
    int slot;
    DType dtype;
    std::int64_t begin;
    std::int64_t count;
  };

  ThreadPool& pool_;
  int output_;
  std::vector<Chunk> chunks_;
  double nanoseconds_ = 0;
};

}  // namespace

void register_all_finite_kernels(KernelTable& table) {
  table.register_kernel(all_finite_op().name,
                        {.name = "all-finite",
                         .supports = [](const Node&, const Backend&) { return Support::yes(); },
                         .create = [](const KernelProblem& problem,
                                      const Backend& backend) -> std::unique_ptr<Kernel> {
                           return std::make_unique<AllFiniteKernel>(problem, as_cpu(backend));
                         }});
}

}  // namespace ingot
