// Elementwise chains on rows of neighbouring channels, 16 bytes at a time.
#include <fmt/core.h>

#include <algorithm>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/vector_walk.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

/// Results that lie as the walk does, and those of smaller shapes.
struct Results {
  std::vector<int> whole;
  std::vector<int> apart;
};

Results sort_results(const Region& region, const Shape& shape) {
  Results results;
  for (std::size_t i = 0; i < region.results.size(); ++i) {
    auto& list = region.results[i].shape() == shape ? results.whole : results.apart;
    list.push_back(static_cast<int>(i));
  }
  return results;
}

/// Of the result with the most elements.
const Value& widest(const Region& region) {
  return *std::ranges::max_element(region.results, {},
                                   [](const Value& value) { return value.type().numel(); });
}

std::vector<Value> wanted_of(const Region& region, const Shape& shape) {
  std::vector<Value> wanted;
  for (const Value& result : region.results) {
    if (result.shape() == shape) wanted.push_back(result);
  }
  return wanted;
}

std::optional<VectorWalk> walk_of(const Region& region) {
  const Value& wide = widest(region);
  const Layout layout = layout_of(region, wide.shape());
  const int vector = vector_of(region, wide.shape());
  const bool flat = std::ranges::all_of(region.operands, [&](const auto& operand) {
    const Value& value = operand.first;
    return value.type().numel() == 1 ||
           (value.shape() == wide.shape() && in_elements(value.layout()) == layout);
  });
  return VectorWalk::of(wide.shape(), layout, vector, flat);
}

class VectorMapKernel final : public CudaKernel {
 public:
  explicit VectorMapKernel(const KernelProblem& problem)
      : CudaKernel(problem, "vector map"),
        region_(region_of(node(), inputs())),
        walk_(*walk_of(region_)),
        results_(sort_results(region_, walk_.shape)) {}

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    std::vector<Stage> stages;
    if (!results_.apart.empty()) stages = map_stages(request, *this, region_, results_.apart);
    const VectorReader reader(region_, walk_, wanted_of(region_, walk_.shape));
    const int stored = static_cast<int>(results_.whole.size());
    const int unroll = reader.rows_at_once(stored);
    // A block begins with what its channels share, so few blocks with many rows each.
    const int blocks = reader.blocks_at_once(stored);
    const std::int64_t most =
        std::max<std::int64_t>(std::int64_t{blocks} * request.multiprocessors / walk_.columns, 1);
    const std::int64_t slices = std::min(walk_.row_blocks(unroll), most);
    Stage stage;
    stage.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    stage.units = slices * walk_.columns;
    stage.blocks_at_once = blocks;
    stage.accesses = all_accesses(request, *this);
    for (Access& access : stage.accesses) access.by_item = false;
    stage.bytes = bytes_moved();
    stage.flops = 2.0 * static_cast<double>(walk_.shape.numel());
    stage.body = body(reader, slices, unroll);
    stages.push_back(std::move(stage));
    return stages;
  }

  [[nodiscard]] bool in_place(int input, int output) const noexcept override {
    // A thread reads the vectors that it overwrites, and no others.
    const Value& from = node().input(static_cast<std::size_t>(input));
    const auto out = static_cast<std::size_t>(output);
    return results_.apart.empty() && from.type() == node().output_type(out) &&
           from.layout() == node().outputs()[out].layout && walk_.is_whole(from);
  }

 private:
  [[nodiscard]] double bytes_moved() const {
    double bytes = 0;
    for (const auto& [value, slot] : region_.operands) bytes += bytes_of(value);
    for (const int r : results_.whole) {
      bytes += bytes_of(region_.results[static_cast<std::size_t>(r)]);
    }
    return bytes;
  }

  [[nodiscard]] std::string body(const VectorReader& reader, std::int64_t slices,
                                 int unroll) const {
    std::string code;
    write_place(code, walk_, slices);
    code += "if (live) {\n";
    reader.write_constants(code);
    code += fmt::format("for (u32 begin = first; begin < {}u; begin += step_rows * {}u) {{\n",
                        walk_.rows, unroll);
    reader.write_declarations(code, unroll);
    const std::string each = fmt::format(
        "#pragma unroll\nfor (int q = 0; q < {}; ++q) {{\nconst u32 row = begin + q * step_rows;\n"
        "if (row < {}u) {{\n",
        unroll, walk_.rows);
    code += each;
    reader.write_loads(code);
    code += "}\n}\n" + each;
    std::vector<VectorResult> results;
    for (const int r : results_.whole) {
      const auto at = static_cast<std::size_t>(r);
      results.emplace_back(walk_, region_.results[at], outputs()[at], fmt::format("y{}", r));
    }
    for (const VectorResult& result : results) result.write_declaration(code);
    code += fmt::format("#pragma unroll\nfor (int e = 0; e < {}; ++e) {{\n", walk_.vector);
    ElementWriter writer = reader.element(code);
    for (const VectorResult& result : results) result.write_element(code, writer);
    code += "}\n";
    for (const VectorResult& result : results) result.write_store(code);
    return code + "}\n}\n}\n}\n";
  }

  Region region_;
  VectorWalk walk_;
  Results results_;
};

Support supports_vector_map(const Node& node, const Backend&) {
  const Region region = region_of(node, std::vector<int>(node.inputs().size()));
  if (!region.reductions.empty()) return Support::no("it reduces");
  if (region.producer != nullptr) return Support::no("its producer runs apart");
  const auto walk = walk_of(region);
  if (!walk) return Support::no("its channels do not divide into vectors");
  return supports_walk(region, *walk);
}

std::unique_ptr<Kernel> make_vector_map(const KernelProblem& problem, const Backend&) {
  return std::make_unique<VectorMapKernel>(problem);
}

}  // namespace

void register_vector_map_kernels(KernelTable& table) {
  const KernelCandidate candidate{"vector map", supports_vector_map, make_vector_map};
  for (const OpDef* op : elementwise_ops()) table.register_kernel(op->name, candidate);
  for (const OpDef* op : {&broadcast_to_op(), &cast_op(), &reorder_op(), &fused_op()}) {
    table.register_kernel(op->name, candidate);
  }
}

}  // namespace ingot::cuda
