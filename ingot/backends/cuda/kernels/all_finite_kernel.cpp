// all_finite: a flag for each chunk of the operands, then one block over the flags.
#include <fmt/core.h>

#include <algorithm>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/vector_walk.h"
#include "ingot/ops/op_list.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

// Elements of a thread, all loaded before the first is looked at: one by one, or 16 bytes at a time
// where there are many.
constexpr int kPerThread = 8;
constexpr int kManyPerThread = 16;
constexpr std::int64_t kManyElements = 1 << 20;
// Flags that one block reads in a single round.
constexpr std::int64_t kMostUnits = 4 * kThreads;

class AllFiniteKernel final : public CudaKernel {
 public:
  explicit AllFiniteKernel(const KernelProblem& problem) : CudaKernel(problem, "all-finite") {
    std::int64_t total = 0;
    for (std::size_t i = 0; i < inputs().size(); ++i) total += size(i);
    many_ = total >= kManyElements;
    // Whole rounds of a block, in as few units as one block can sum up.
    const std::int64_t most = round() * kMostUnits;
    rounds_ = std::max<std::int64_t>(1, (total + most - 1) / most);
    for (std::size_t i = 0; i < inputs().size(); ++i) {
      if (size(i) == 0) continue;
      firsts_.push_back(units_);
      operands_.push_back(i);
      units_ += (size(i) + chunk() - 1) / chunk();
    }
  }

  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override { return 4 * units_; }

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    std::vector<Stage> result;
    if (units_ > 0) result.push_back(partial_stage(request));
    Stage last;
    last.what = fmt::format("{} \"{}\", all chunks", node().op().name, node().name());
    last.mode = Mode::single;
    last.accesses = {{outputs()[0], true, false}};
    if (units_ > 0) last.accesses.push_back({-1, false, false});
    last.body = fmt::format(
        "bool all = true;\nfor (int i = threadIdx.x; i < {}; i += THREADS) "
        "all = all && ((const int*)@W@)[i] != 0;\n"
        "all = __syncthreads_and(all);\nif (threadIdx.x == 0) put({}, 0, all);\n",
        units_, pointer_to(outputs()[0], DType::boolean, true));
    last.bytes = 4.0 * static_cast<double>(units_);
    result.push_back(std::move(last));
    return result;
  }

 private:
  [[nodiscard]] std::int64_t size(std::size_t operand) const {
    return node().input(operand).layout().physical_numel(node().input_type(operand).shape);
  }
  [[nodiscard]] std::int64_t round() const {
    return std::int64_t{kThreads} * (many_ ? kManyPerThread : kPerThread);
  }
  [[nodiscard]] std::int64_t chunk() const { return round() * rounds_; }

  [[nodiscard]] Stage partial_stage(const StageRequest& request) const {
    Stage stage;
    stage.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    stage.mode = request.mode == Mode::item ? Mode::grid : request.mode;
    stage.units = units_;
    for (const std::size_t i : operands_) {
      stage.accesses.push_back({inputs()[i], false, false});
      stage.bytes += static_cast<double>(size(i)) *
                     static_cast<double>(dtype_size(node().input_type(i).dtype));
    }
    stage.accesses.push_back({-1, true, false});
    std::string firsts;
    for (const std::int64_t first : firsts_) firsts += fmt::format("{}, ", first);
    std::string& code = stage.body;
    code = fmt::format("static const int firsts[] = {{ {}{} }};\n", firsts, units_);
    code += fmt::format(
        "int low = 0, high = {};\nwhile (high - low > 1) {{ const int mid = (low + high) / 2;\n"
        "if (firsts[mid] <= unit) low = mid; else high = mid; }}\n"
        "const i64 first = (i64)(unit - firsts[low]) * {};\nbool all = true;\n",
        firsts_.size(), chunk());
    // One loop for each dtype, over operands of that dtype.
    code += "const char* data; i64 size; int kind;\nswitch (low) {\n";
    for (std::size_t t = 0; t < operands_.size(); ++t) {
      code += fmt::format("{}: data = @{}@; size = {}; kind = {}; break;\n",
                          t + 1 == operands_.size() ? "default" : fmt::format("case {}", t),
                          inputs()[operands_[t]], size(operands_[t]),
                          static_cast<int>(node().input_type(operands_[t]).dtype));
    }
    code += "}\n";
    for (const DType dtype : dtypes()) {
      code += fmt::format("if (kind == {}) for (int r = 0; r < {}; ++r) {{\n",
                          static_cast<int>(dtype), rounds_);
      code += many_ && has_lane(dtype) ? look_at_vectors(dtype) : look_at_elements(dtype);
      code += "}\n";
    }
    code +=
        "all = __syncthreads_and(all);\nif (threadIdx.x == 0) ((int*)@W@)[unit] = all ? 1 : 0;\n";
    return stage;
  }

  [[nodiscard]] std::string look_at_elements(DType dtype) const {
    const std::int64_t count = round() / kThreads;
    return fmt::format(
        "{0} x[{1}];\n#pragma unroll\nfor (int q = 0; q < {1}; ++q) {{ const i64 i = first + "
        "(i64)(r * {1} + q) * THREADS + threadIdx.x; x[q] = i < size ? get((const {2}*)data, i) : "
        "0; }}\n#pragma unroll\nfor (int q = 0; q < {1}; ++q) all &= op_finite(x[q]);\n",
        compute_type(dtype), count, storage_type(dtype));
  }

  /// The elements of a last, shorter vector by themselves.
  [[nodiscard]] std::string look_at_vectors(DType dtype) const {
    const auto vector = static_cast<std::int64_t>(16 / dtype_size(dtype));
    return fmt::format(
        "Raw<4> x[{0}];\n#pragma unroll\nfor (int q = 0; q < {0}; ++q) {{\n"
        "const i64 i = first + ((i64)(r * {0} + q) * THREADS + threadIdx.x) * {1};\n"
        "if (i + {1} <= size) {{ x[q] = load_words<4>((const {2}*)data + i); }} else {{\n"
        "x[q].w[0] = x[q].w[1] = x[q].w[2] = x[q].w[3] = 0;\n"
        "for (i64 k = i; k < size; ++k) all &= op_finite(get((const {2}*)data, k));\n}}\n}}\n"
        "#pragma unroll\nfor (int q = 0; q < {0}; ++q) {{\n#pragma unroll\n"
        "for (int e = 0; e < {1}; ++e) all &= op_finite(Lane<{2}>::get(x[q].w, e));\n}}\n",
        round() / kThreads / vector, vector, storage_type(dtype));
  }

  [[nodiscard]] std::vector<DType> dtypes() const {
    std::vector<DType> found;
    for (const std::size_t i : operands_) {
      const DType dtype = node().input_type(i).dtype;
      if (std::ranges::find(found, dtype) == found.end()) found.push_back(dtype);
    }
    return found;
  }

  bool many_ = false;
  std::int64_t rounds_ = 1;
  std::int64_t units_ = 0;
  std::vector<std::int64_t> firsts_;  // first unit of each operand that has elements
  std::vector<std::size_t> operands_;
};

Support supports_all_finite(const Node&, const Backend&) { return Support::yes(); }

}  // namespace

void register_all_finite_kernels(KernelTable& table) {
  table.register_kernel(all_finite_op().name, {"all-finite", supports_all_finite,
                                               [](const KernelProblem& problem, const Backend&) {
                                                 return std::make_unique<AllFiniteKernel>(problem);
                                               }});
}

}  // namespace ingot::cuda
