#include "ingot/backends/cuda/kernels/move_chain.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/strides.h"
#include "ingot/backends/cuda/kernels/vector_walk.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

// Elements, or vectors of them, that a thread has under way.
constexpr int kPerThread = 4;

/// Writes elements of a chain's Values: at a move the place changes, and what is behind it is
/// written there.
class MoveWriter {
 public:
  MoveWriter(std::string& code, const Region& region) : code_(code), region_(region) {}

  std::string value(const Value& value, const Place& place) {
    ElementWriter writer(code_, region_, place);
    bind_moves(value, writer);
    return writer.value(value);
  }

 private:
  void bind_moves(const Value& value, ElementWriter& writer) {
    if (region_.operands.contains(value)) return;
    const Node& node = *value.node();
    const MoveSource source = move_source(node.op());
    if (source == nullptr) {
      for (const Value& input : node.inputs()) bind_moves(input, writer);
      return;
    }
    const Moved moved = source(node, writer.place().coordinates);
    const std::string name = fmt::format("m{}", count_++);
    const bool always = moved.inside.empty();
    code_ += fmt::format("{} {}{};\n", compute_type(value.dtype()), name,
                         always ? "" : " = " + moved.fill);
    code_ += always ? "{\n" : fmt::format("if ({}) {{\n", moved.inside);
    const std::string from =
        this->value(node.input(0), {node.input_type(0).shape, moved.coordinates, {}});
    code_ += fmt::format("{} = {};\n}}\n", name, from);
    writer.bind(value, name);
  }

  std::string& code_;
  const Region& region_;
  int count_ = 0;
};

std::optional<VectorWalk> walk_of(const TensorType& result, const Layout& layout) {
  if (!has_lane(result.dtype)) return std::nullopt;
  const int vector = dtype_size(result.dtype) <= 2 ? 8 : 4;
  return VectorWalk::of(result.shape, layout, vector, false);
}

std::optional<VectorWalk> walk_of(const Value& result) {
  return walk_of(result.type(), result.layout());
}

class MoveKernel final : public CudaKernel {
 public:
  explicit MoveKernel(const KernelProblem& problem)
      : CudaKernel(problem, "gather map"),
        region_(region_of(node(), inputs())),
        walk_(walk_of(region_.results.front())) {}

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    const Value& result = region_.results.front();
    if (result.type().numel() == 0) return {};
    Stage stage;
    stage.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    stage.accesses = all_accesses(request, *this);
    for (Access& access : stage.accesses) access.by_item = false;
    stage.bytes = static_cast<double>(result.type().bytes());
    for (const auto& [value, slot] : region_.operands) {
      stage.bytes += static_cast<double>(value.type().bytes());
    }
    stage.flops = 2.0 * static_cast<double>(result.type().numel());
    if (walk_) {
      write_vectors(stage, request.multiprocessors);
    } else {
      write_elements(stage);
    }
    return {std::move(stage)};
  }

 private:
  void write_vectors(Stage& stage, int multiprocessors) const {
    const Value& result = region_.results.front();
    // A block begins with what its channels share, so few blocks with many rows each.
    const std::int64_t most = std::max<std::int64_t>(4LL * multiprocessors / walk_->columns, 1);
    const std::int64_t slices = std::min(walk_->row_blocks(kPerThread), most);
    stage.units = slices * walk_->columns;
    std::string& code = stage.body;
    write_place(code, *walk_, slices);
    code += fmt::format(
        "if (live) {{\nfor (u32 begin = first; begin < {}u; begin += step_rows * {}u) {{\n"
        "Raw<{}> y[{}];\n",
        walk_->rows, kPerThread, words_of(*walk_, result.dtype()), kPerThread);
    const std::string each = fmt::format(
        "#pragma unroll\nfor (int q = 0; q < {}; ++q) {{\nconst u32 row = begin + q * step_rows;\n"
        "if (row < {}u) {{\n",
        kPerThread, walk_->rows);
    code += each + fmt::format("#pragma unroll\nfor (int e = 0; e < {}; ++e) {{\n", walk_->vector);
    const VectorReader reader(region_, *walk_, {});
    const Place place = reader.element(code).place();
    const std::string value = MoveWriter(code, region_).value(result, place);
    write_set(code, *walk_, "y[q]", result.dtype(), value);
    code += "}\n}\n}\n" + each;
    code += fmt::format("store_words({}, y[q]);\n}}\n}}\n}}\n}}\n",
                        vector_address(*walk_, outputs()[0], result.dtype(), true));
  }

  void write_elements(Stage& stage) const {
    const Value& result = region_.results.front();
    const std::int64_t count = result.type().numel();
    constexpr std::int64_t kChunk = std::int64_t{kThreads} * kPerThread;
    stage.units = (count + kChunk - 1) / kChunk;
    std::string& code = stage.body;
    code = fmt::format(
        "const i64 first = (i64)unit * {} + threadIdx.x;\n{} y[{}];\n"
        "#pragma unroll\nfor (int q = 0; q < {}; ++q) {{\nconst i64 i = first + q * {};\n"
        "if (i >= {}) break;\n",
        kChunk, compute_type(result.dtype()), kPerThread, kPerThread, kThreads, count);
    const Place place{result.shape(), write_decode(code, "c", "i", result.shape()), "i"};
    const std::string value = MoveWriter(code, region_).value(result, place);
    code += fmt::format(
        "y[q] = {};\n}}\n#pragma unroll\nfor (int q = 0; q < {}; ++q) {{\n"
        "const i64 i = first + q * {};\nif (i >= {}) break;\n",
        value, kPerThread, kThreads, count);
    code += store_text(outputs()[0], result.dtype(), "i", "y[q]") + "}\n";
  }

  Region region_;
  std::optional<VectorWalk> walk_;
};

Support supports_moves(const Node& node, const Backend&) {
  if (!is_move_chain(node)) return Support::no("it is no chain of moves");
  const Region region = region_of(node, std::vector<int>(node.inputs().size()));
  const bool plain = region.results.front().layout().is_plain();
  if (!plain && !walk_of(region.results.front())) {
    return Support::no("its channels do not divide into vectors");
  }
  return Support::yes();
}

}  // namespace

bool is_move_chain(std::span<const Node* const> nodes) {
  int moves = 0;
  bool moves_memory = false;
  bool makes_operand = false;
  const auto is_member = [&](const Value& value) {
    return std::ranges::find(nodes, value.node()) != nodes.end();
  };
  for (const Node* node : nodes) {
    if (move_source(node->op()) != nullptr) {
      ++moves;
      moves_memory |= !node->op().traits.view;
      makes_operand |= is_member(node->input(0));
      continue;
    }
    if (!is_pointwise(*node)) return false;
    for (const Value& input : node->inputs()) {
      // What was moved is at hand at its own place, which must be that of what reads it.
      const bool moved = is_member(input) && move_source(input.node()->op()) != nullptr;
      if (moved && input.shape() != node->output_type().shape) return false;
    }
  }
  return moves_memory && (moves > 1 || makes_operand);
}

bool is_move_chain(const Node& region) {
  if (region.body() == nullptr || region.outputs().size() != 1) return false;
  std::vector<const Node*> nodes;
  for (const auto& node : region.body()->nodes()) {
    if (!node->op().traits.source) nodes.push_back(node.get());
  }
  return is_move_chain(nodes);
}

bool takes_chain_layout(const Node& chain, const Layout& layout) {
  const Value result = const_cast<Node&>(chain).output();
  Value moved = result;
  for (const Value& input : chain.inputs()) {
    if (input.type().numel() > moved.type().numel()) moved = input;
  }
  if (moved != result) return strides_of(layout, moved.shape()).has_value();
  return walk_of(result.type(), layout).has_value();
}

void register_move_kernels(KernelTable& table) {
  table.register_kernel(fused_op().name, {"gather map", supports_moves,
                                          [](const KernelProblem& problem, const Backend&) {
                                            return std::make_unique<MoveKernel>(problem);
                                          }});
}

}  // namespace ingot::cuda
