// Sums, maxima and moments over the rows of neighbouring channels, 16 bytes at a time: each thread
// adds up its vector of channels, blocks leave a row of partial results each, and the last block of
// a column of channels adds those in their order.
#include <fmt/core.h>

#include <algorithm>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/reduce_region.h"
#include "ingot/backends/cuda/kernels/vector_walk.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

// Channels of a block where several share the rows: a line of 128 bytes a row at least, and few
// enough that the last block is soon done with the others' results.
constexpr std::int64_t kColumnChannels = 64;

std::optional<VectorWalk> walk_of(const ReduceRegion& work) {
  const int vector = vector_of(work.region(), work.loop());
  auto walk = VectorWalk::of(work.loop(), layout_of(work.region(), work.loop()), vector, false);
  if (walk && rows_of_output(work.axes(), *walk) == walk->rows) {
    walk->narrow(kColumnChannels / vector);
  }
  return walk;
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
    const std::int64_t slices = slices_for(kMostBlocks);
    return slices == 1 ? 0 : slices * walk_.columns * row_floats() * 4;
  }

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    std::vector<Stage> stages;
    const Region& region = work_.region();
    if (!work_.apart().empty()) stages = map_stages(request, *this, region, work_.apart());
    const VectorReader reader(region, walk_, wanted());
    const int blocks = reader.blocks_at_once(totals());
    const std::int64_t slices = slices_for(std::int64_t{blocks} * request.multiprocessors);
    Stage stage;
    stage.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    stage.accesses = all_accesses(request, *this);
    for (Access& access : stage.accesses) access.by_item = false;
    stage.bytes = work_.bytes();
    for (const int r : work_.beside()) {
      stage.bytes += bytes_of(work_.region().results[static_cast<std::size_t>(r)]);
    }
    stage.units = slices * parts_ * walk_.columns;
    stage.shared_bytes = static_cast<int>(4 * (shift_place(work_.region().reductions.size())));
    stage.flops = 3.0 * static_cast<double>(walk_.shape.numel());
    stage.blocks_at_once = blocks;
    stage.body = body(reader, slices);
    if (slices > 1) {
      stage.accesses.push_back({-1, true, false});
      stage.tickets = static_cast<int>(walk_.columns);
    }
    stages.push_back(std::move(stage));
    return stages;
  }

 private:
  static constexpr std::int64_t kMostBlocks = 320;

  /// Vectors of totals and of what they are shifted by.
  [[nodiscard]] int totals() const {
    const auto shifted = std::ranges::count_if(work_.region().reductions, [](const Node* node) {
      return reduce_kind(*node) == ReduceKind::moments;
    });
    return static_cast<int>(std::ssize(components_) + shifted);
  }

  /// Blocks that share the rows of an output, of `blocks` for all columns.
  [[nodiscard]] std::int64_t slices_for(std::int64_t blocks) const {
    if (parts_ > 1) return 1;
    const std::int64_t most = std::max<std::int64_t>(blocks / walk_.columns, 1);
    return std::clamp<std::int64_t>(walk_.row_blocks(kUnroll), 1, most);
  }

  /// Floats that a block leaves.
  [[nodiscard]] std::int64_t row_floats() const {
    return std::ssize(components_) * walk_.block_channels();
  }
  /// Parts of a component in shared memory: one a warp, or a row.
  [[nodiscard]] std::int64_t lane_parts() const {
    const std::int64_t warp_rows = walk_.tx < 32 && 32 % walk_.tx == 0 ? 32 / walk_.tx : 1;
    return walk_.ty / warp_rows;
  }
  /// Where a component's parts, and where the first terms of reduction n lie in shared memory, in
  /// floats.
  [[nodiscard]] std::int64_t part_place(std::size_t component) const {
    return static_cast<std::int64_t>(component) * lane_parts() * walk_.block_channels();
  }
  [[nodiscard]] std::int64_t shift_place(std::size_t n) const {
    return part_place(components_.size()) + static_cast<std::int64_t>(n) * walk_.block_channels();
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

  [[nodiscard]] std::string body(const VectorReader& reader, std::int64_t slices) const {
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
    write_start(code);
    code += "float* const s = (float*)smem;\nif (live) {\n";
    reader.write_constants(code);
    write_shifts(code, reader);
    write_rows(code, reader);
    code += "}\n";
    write_totals(code, slices);
    return code;
  }

  /// Totals of nothing.
  void write_start(std::string& code) const {
    code += each_element();
    for (std::size_t k = 0; k < components_.size(); ++k) {
      code += fmt::format("t{}[e] = {};\n", k, components_[k] == 's' ? "0.0f" : "-infinity()");
    }
    code += "}\n";
  }

  /// The first term of each output of moments, in shift<n>[e] and for all of the block.
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
    code += fmt::format("{{\nconst u32 q = 0, row = {};\n",
                        parts_ == 1 ? fmt::format("{}u", walk_.rows - 1) : "begin_row - ty");
    reader.write_declarations(code, 1);
    reader.write_loads(code);
    code += each_element();
    ElementWriter writer = reader.element(code);
    for (const std::size_t n : moments) {
      const std::string value = writer.value(reductions[n]->input(0));
      code += fmt::format("shift{0}[e] = {1};\nif (ty == 0) s[{2} + tx * {3} + e] = shift{0}[e];\n",
                          n, value, shift_place(n), walk_.vector);
    }
    code += "}\n}\n";
  }

  void write_rows(std::string& code, const VectorReader& reader) const {
    const int unroll = reader.rows_at_once(totals());
    code += fmt::format(
        "for (u32 begin = begin_row; begin < end_row; begin += step_rows * {}u) {{\n", unroll);
    reader.write_declarations(code, unroll);
    // From the last row to the first: what the kernel before wrote last is in the cache.
    const std::string row = parts_ > 1 ? "at" : fmt::format("{}u - at", walk_.rows - 1);
    const std::string each = fmt::format(
        "#pragma unroll\nfor (int q = 0; q < {}; ++q) {{\nconst u32 at = begin + q * step_rows, "
        "row = {};\nif (at < end_row) {{\n",
        unroll, row);
    code += each;
    reader.write_loads(code);
    code += "}\n}\n" + each;
    std::vector<VectorResult> results;
    for (const int r : work_.beside()) {
      const auto at = static_cast<std::size_t>(r);
      results.emplace_back(walk_, work_.region().results[at], outputs()[at], fmt::format("y{}", r));
    }
    for (const VectorResult& result : results) result.write_declaration(code);
    code += each_element();
    write_terms(code, reader, results);
    code += "}\n";
    for (const VectorResult& result : results) result.write_store(code);
    code += "}\n}\n}\n";
  }

  /// Adds element e of the row to the thread's totals.
  void write_terms(std::string& code, const VectorReader& reader,
                   std::span<const VectorResult> results) const {
    const Region& region = work_.region();
    ElementWriter writer = reader.element(code);
    for (const VectorResult& result : results) result.write_element(code, writer);
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

  /// Adds up the block's rows and stores what comes of them, or leaves it to the last block of the
  /// column.
  void write_totals(std::string& code, std::int64_t slices) const {
    write_leave(code);
    if (slices == 1) return write_stores(code);
    code += fmt::format(
        "float* const column = (float*)@W@ + (u64)(unit % {}) * {};\n"
        "float* const left = column + slice * {};\n",
        walk_.columns, slices * row_floats(), row_floats());
    write_channels(code);
    for (std::size_t k = 0; k < components_.size(); ++k) {
      code += fmt::format("left[{} + own] = v{};\n",
                          static_cast<std::int64_t>(k) * walk_.block_channels(), k);
    }
    code +=
        fmt::format("}}\nif (comes_last((u64*)@T@ + unit % {}, {})) {{\n", walk_.columns, slices);
    write_start(code);
    // As many rounds for every thread, so that their loads are under way together.
    const std::int64_t rounds = (slices + walk_.ty - 1) / walk_.ty;
    code += fmt::format(
        "#pragma unroll 8\nfor (int q = 0; q < {}; ++q) {{\nconst u32 part = q * {}u + ty;\n"
        "if (ty < {}u && part < {}u) {{\n",
        rounds, walk_.ty, walk_.ty, slices);
    for (std::size_t k = 0; k < components_.size(); ++k) {
      code += fmt::format(
          "const Raw<{0}> w{1} = load_words<{0}>(column + part * {2} + {3} + tx * {0});\n",
          walk_.vector, k, row_floats(), static_cast<std::int64_t>(k) * walk_.block_channels());
    }
    code += each_element();
    for (std::size_t k = 0; k < components_.size(); ++k) {
      code += fmt::format("t{0}[e] = {1}::apply(t{0}[e], Lane<float>::get(w{0}.w, e));\n", k,
                          operation(k));
    }
    code += "}\n}\n}\n";
    write_leave(code);
    write_stores(code);
    code += "}\n";
  }

  [[nodiscard]] std::string_view operation(std::size_t component) const {
    return components_[component] == 's' ? "OpSum" : "OpMax";
  }

  [[nodiscard]] std::string rows_template(std::size_t component) const {
    return fmt::format("<{}, {}, {}, {}>", walk_.vector, walk_.tx, walk_.ty, operation(component));
  }

  void write_leave(std::string& code) const {
    for (std::size_t k = 0; k < components_.size(); ++k) {
      code +=
          fmt::format("leave_rows{}(t{}, tx, ty, s + {});\n", rows_template(k), k, part_place(k));
    }
    code += "__syncthreads();\n";
  }

  /// Begins a loop over the block's channels, with each component's total in v<k>.
  void write_channels(std::string& code) const {
    code += fmt::format("for (u32 own = threadIdx.x; own < {}u; own += THREADS) {{\n",
                        walk_.block_channels());
    for (std::size_t k = 0; k < components_.size(); ++k) {
      code += fmt::format("const float v{} = add_rows{}(s + {}, own);\n", k, rows_template(k),
                          part_place(k));
    }
  }

  void write_stores(std::string& code) const {
    write_channels(code);
    code += fmt::format("const u32 channel = unit % {} * {}u + own;\nif (channel < {}u) {{\n",
                        walk_.columns, walk_.block_channels(), walk_.channels);
    std::vector<std::string> totals;
    for (std::size_t k = 0; k < components_.size(); ++k) totals.push_back(fmt::format("v{}", k));
    std::vector<std::string> shifts;
    for (std::size_t n = 0; n < work_.region().reductions.size(); ++n) {
      shifts.push_back(fmt::format("s[{} + own]", shift_place(n)));
    }
    std::vector<std::string> kept;
    if (parts_ > 1 || work_.axes().kept_axes.size() > 1) kept.emplace_back("slice");
    kept.emplace_back("channel");
    code += fmt::format(
        "const i64 out = {};\n",
        kept.size() > 1 ? fmt::format("(i64)slice * {} + channel", walk_.channels) : "channel");
    work_.store(code, "out", kept, totals, shifts);
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
