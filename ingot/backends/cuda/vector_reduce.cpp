// Sums, maxima and moments over the rows of neighbouring channels, 16 bytes at a time: each thread
// adds up its vector of channels, blocks leave a row of partial results each, and a second stage
// adds those in their order.
#include <fmt/core.h>

#include <algorithm>

#include "ingot/backends/cuda/map_kernel.h"
#include "ingot/backends/cuda/reduce_plan.h"
#include "ingot/backends/cuda/reduce_region.h"
#include "ingot/backends/cuda/vector_walk.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

std::optional<VectorWalk> walk_of(const ReduceRegion& work) {
  return VectorWalk::of(work.loop(), layout_of(work.region(), work.loop()),
                        vector_of(work.region(), work.loop()), false);
}

class VectorReduceKernel final : public CudaKernel {
 public:
  explicit VectorReduceKernel(const KernelProblem& problem)
      : CudaKernel(problem, "vector reduce"),
        work_(node(), inputs(), outputs()),
        walk_(*walk_of(work_)),
        rows_(rows_of_output(work_.axes(), walk_)),
        parts_(walk_.rows / rows_),
        components_(work_.components()) {}

  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    const std::int64_t slices = slices_for(kMostMultiprocessors);
    if (slices == 1) return 0;
    return slices * walk_.channels * 4 * std::ssize(components_);
  }

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    std::vector<Stage> stages;
    const Region& region = work_.region();
    if (!work_.apart().empty()) stages = map_stages(request, *this, region, work_.apart());
    const std::int64_t slices = slices_for(request.multiprocessors);
    Stage whole;
    whole.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    whole.accesses = all_accesses(request, *this);
    for (Access& access : whole.accesses) access.by_item = false;
    whole.bytes = work_.bytes();
    for (const int r : work_.beside()) whole.bytes += bytes_of(r);
    Stage first = whole;
    first.units = slices * parts_ * walk_.columns;
    first.shared_bytes = kThreads * walk_.vector * 4;
    first.flops = 3.0 * static_cast<double>(walk_.shape.numel());
    first.body = body(slices);
    if (slices > 1) first.accesses.push_back({-1, true, false});
    stages.push_back(std::move(first));
    if (slices > 1) {
      stages.push_back(
          add_parts(whole, work_.axes().kept, slices, components_,
                    [this](std::string& code, const std::string& out, const auto& kept,
                           const auto& totals) { work_.store(code, out, kept, totals); }));
    }
    return stages;
  }

 private:
  static constexpr int kMostMultiprocessors = 160;

  [[nodiscard]] double bytes_of(int result) const {
    return static_cast<double>(
        work_.region().results[static_cast<std::size_t>(result)].type().bytes());
  }

  /// Blocks that share the rows of an output.
  [[nodiscard]] std::int64_t slices_for(int multiprocessors) const {
    if (parts_ > 1) return 1;
    const std::int64_t most = std::max<std::int64_t>(2LL * multiprocessors / walk_.columns, 1);
    return std::clamp<std::int64_t>(walk_.row_blocks(kUnroll), 1, most);
  }

  /// Values of the loop's shape that a walk computes.
  [[nodiscard]] std::vector<Value> wanted() const {
    const Region& region = work_.region();
    std::vector<Value> values;
    for (const Node* reduction : region.reductions) values.push_back(reduction->input(0));
    for (const int r : work_.beside())
      values.push_back(region.results[static_cast<std::size_t>(r)]);
    return values;
  }

  [[nodiscard]] std::string each_element() const {
    return fmt::format("#pragma unroll\nfor (int e = 0; e < {}; ++e) {{\n", walk_.vector);
  }

  [[nodiscard]] std::string body(std::int64_t slices) const {
    const VectorReader reader(work_.region(), walk_, wanted());
    std::string code;
    write_place(code, walk_, parts_ > 1 ? 1 : slices);
    if (parts_ > 1) {
      code += fmt::format("const u32 begin_row = slice * {}u + ty, end_row = (slice + 1) * {}u;\n",
                          rows_, rows_);
    } else {
      code += fmt::format("const u32 begin_row = first, end_row = {}u;\n", rows_);
    }
    for (std::size_t k = 0; k < components_.size(); ++k) {
      code += fmt::format("float t{}[{}];\n", k, walk_.vector);
    }
    code += each_element();
    for (std::size_t k = 0; k < components_.size(); ++k) {
      code += fmt::format("t{}[e] = {};\n", k, components_[k] == 's' ? "0.0f" : "-infinity()");
    }
    code += "}\nif (live) {\n";
    reader.write_constants(code);
    write_shifts(code, reader);
    write_rows(code, reader);
    code += "}\n";
    write_totals(code, slices);
    return code;
  }

  /// The first term of each output of moments, in shift<n>[e].
  void write_shifts(std::string& code, const VectorReader& reader) const {
    const auto& reductions = work_.region().reductions;
    std::vector<std::size_t> moments;
    for (std::size_t n = 0; n < reductions.size(); ++n) {
      if (reduce_kind(*reductions[n]) == ReduceKind::moments) moments.push_back(n);
    }
    if (moments.empty()) return;
    for (const std::size_t n : moments)
      code += fmt::format("float shift{}[{}];\n", n, walk_.vector);
    // Where all blocks share an output, they share its shift.
    code += fmt::format("{{\nconst u32 q = 0, row = {};\n", parts_ == 1 ? "0" : "begin_row - ty");
    reader.write_declarations(code, 1);
    reader.write_loads(code);
    code += each_element();
    ElementWriter writer = reader.element(code);
    for (const std::size_t n : moments) {
      const std::string value = writer.value(reductions[n]->input(0));
      code += fmt::format("shift{}[e] = {};\n", n, value);
    }
    code += "}\n}\n";
  }

  void write_rows(std::string& code, const VectorReader& reader) const {
    const int unroll = reader.rows_at_once(static_cast<int>(components_.size()));
    code += fmt::format(
        "for (u32 begin = begin_row; begin < end_row; begin += step_rows * {}u) {{\n", unroll);
    reader.write_declarations(code, unroll);
    const std::string each = fmt::format(
        "#pragma unroll\nfor (int q = 0; q < {}; ++q) {{\nconst u32 row = begin + q * step_rows;\n"
        "if (row < end_row) {{\n",
        unroll);
    code += each;
    reader.write_loads(code);
    code += "}\n}\n" + each;
    const Region& region = work_.region();
    for (const int r : work_.beside()) {
      const DType dtype = region.results[static_cast<std::size_t>(r)].dtype();
      code += fmt::format("Raw<{}> y{};\n", words_of(walk_, dtype), r);
    }
    code += each_element();
    write_terms(code, reader);
    code += "}\n";
    for (const int r : work_.beside()) {
      const DType dtype = region.results[static_cast<std::size_t>(r)].dtype();
      code += fmt::format(
          "store_words({}, y{});\n",
          vector_address(walk_, outputs()[static_cast<std::size_t>(r)], dtype, true), r);
    }
    code += "}\n}\n}\n";
  }

  /// Adds element e of the row to the thread's totals.
  void write_terms(std::string& code, const VectorReader& reader) const {
    const Region& region = work_.region();
    ElementWriter writer = reader.element(code);
    for (const int r : work_.beside()) {
      const Value& result = region.results[static_cast<std::size_t>(r)];
      const std::string value = writer.value(result);
      write_set(code, walk_, fmt::format("y{}", r), result.dtype(), value);
    }
    std::size_t k = 0;
    for (std::size_t n = 0; n < region.reductions.size(); ++n) {
      const Node& reduction = *region.reductions[n];
      const std::string value = writer.value(reduction.input(0));
      switch (reduce_kind(reduction)) {
        case ReduceKind::moments:
          code += fmt::format(
              "const float d{0} = {1} - shift{0}[e];\nt{2}[e] += d{0};\nt{3}[e] += d{0} * d{0};\n",
              n, value, k, k + 1);
          k += 2;
          break;
        case ReduceKind::max:
          code += fmt::format("t{0}[e] = op_max(t{0}[e], (float)({1}));\n", k++, value);
          break;
        default: code += fmt::format("t{}[e] += (float)({});\n", k++, value); break;
      }
    }
  }

  /// Adds up the block's rows, in the order of a tree, and stores or leaves what comes of them.
  void write_totals(std::string& code, std::int64_t slices) const {
    code += "float* const s = (float*)smem;\n";
    for (std::size_t k = 0; k < components_.size(); ++k) {
      code += fmt::format("over_rows<{}, {}, {}, {}>(t{}, tx, ty, s);\n", walk_.vector, walk_.tx,
                          walk_.ty, components_[k] == 's' ? "OpSum" : "OpMax", k);
    }
    code += "if (live && ty == 0) {\n#pragma unroll\n";
    code +=
        fmt::format("for (int e = 0; e < {}; ++e) {{\nconst u32 channel = c + e;\n", walk_.vector);
    if (walk_.is_padded()) code += fmt::format("if (channel >= {}u) continue;\n", walk_.channels);
    std::vector<std::string> totals;
    for (std::size_t k = 0; k < components_.size(); ++k) totals.push_back(fmt::format("t{}[e]", k));
    if (slices > 1) {
      for (std::size_t k = 0; k < components_.size(); ++k) {
        code += fmt::format("((float*)@W@)[((u64){} * {} + slice) * {} + channel] = t{}[e];\n", k,
                            slices, walk_.channels, k);
      }
    } else {
      std::vector<std::string> kept;
      if (parts_ > 1 || work_.axes().kept_axes.size() > 1) kept.emplace_back("slice");
      kept.emplace_back("channel");
      code += fmt::format(
          "const i64 out = {};\n",
          kept.size() > 1 ? fmt::format("(i64)slice * {} + channel", walk_.channels) : "channel");
      work_.store(code, "out", kept, totals);
    }
    code += "}\n}\n";
  }

  static constexpr int kUnroll = 4;

  ReduceRegion work_;
  VectorWalk walk_;
  std::int64_t rows_;   ///< of one output
  std::int64_t parts_;  ///< outputs of a channel
  std::string components_;
};

Support supports_vector_reduce(const Node& node, const Backend&) {
  const Region region = region_of(node, std::vector<int>(node.inputs().size()));
  if (const Support known = supports_reductions(region); !known) return known;
  const ReduceRegion work(node, std::vector<int>(node.inputs().size()),
                          std::vector<int>(node.outputs().size()));
  const auto walk = walk_of(work);
  if (!walk) return Support::no("its channels do not divide into vectors");
  if (rows_of_output(work.axes(), *walk) == 0)
    return Support::no("it reduces other axes than the rows");
  return supports_walk(region, *walk);
}

std::unique_ptr<Kernel> make_vector_reduce(const KernelProblem& problem, const Backend&) {
  return std::make_unique<VectorReduceKernel>(problem);
}

}  // namespace

void register_vector_reduce_kernels(KernelTable& table) {
  for (const OpDef* op : {&sum_op(), &mean_op(), &reduce_max_op(), &moments_op(), &fused_op()}) {
    table.register_kernel(op->name, {"vector reduce", supports_vector_reduce, make_vector_reduce});
  }
}

}  // namespace ingot::cuda
