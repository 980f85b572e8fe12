#include "ingot/backends/cuda/kernels/move_chain.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/move_writer.h"
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
      // Of a larger operand, what the places say.
      const auto elements = std::min(value.type().numel(), result.type().numel());
      stage.bytes += static_cast<double>(elements) * static_cast<double>(dtype_size(value.dtype()));
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
    Ahead rows{.subscript = "[q]", .dimension = fmt::format("[{}]", kPerThread)};
    Ahead elements;
    const VectorReader reader(region_, *walk_, {});
    std::string body;
    Place place = reader.element(body).place();
    std::string& inner = place.coordinates[static_cast<std::size_t>(walk_->axis)];
    const std::string lane = std::string(kLane) + "c";
    std::string vector = fmt::format("const u32 {} = {};\n", lane, inner);
    inner = lane;
    const std::string value = MoveWriter(body, region_, elements, rows).value(result, place);
    vector += elements.declarations + elements.code + body;
    write_set(vector, *walk_, "y[q]", result.dtype(), value);
    code += rows.declarations;
    if (!rows.code.empty()) code += each + rows.code + "}\n}\n";
    code += each + fmt::format("#pragma unroll\nfor (int e = 0; e < {}; ++e) {{\n{}", walk_->vector,
                               vector);
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
    code += write_moved(region_, result, place, "y[q]");
    code += fmt::format(
        "}}\n#pragma unroll\nfor (int q = 0; q < {}; ++q) {{\n"
        "const i64 i = first + q * {};\nif (i >= {}) break;\n",
        kPerThread, kThreads, count);
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

std::vector<const Node*> members_of(const Node& region) {
  std::vector<const Node*> nodes;
  for (const auto& node : region.body()->nodes()) {
    if (!node->op().traits.source) nodes.push_back(node.get());
  }
  return nodes;
}

class Chain {
 public:
  explicit Chain(std::span<const Node* const> nodes) : nodes_(nodes) {}

  [[nodiscard]] bool holds() {
    int moves = 0;
    bool moves_memory = false;
    bool makes_operand = false;
    for (const Node* node : nodes_) {
      if (const Mover* mover = mover_of(node->op())) {
        ++moves;
        moves_memory |= !node->op().traits.view;
        makes_operand |= std::ranges::any_of(
            node->inputs(), [this](const Value& input) { return is_member(input); });
        // Each of its indices is checked by some element.
        if (mover->checked && !all_read(output_of(*node), mover->placed(*node))) return false;
        continue;
      }
      if (!is_pointwise(*node)) return false;
      for (const Value& input : node->inputs()) {
        // What was moved is at hand at its own place, which must be that of what reads it.
        if (is_moved(input) && input.shape() != node->output_type().shape) return false;
      }
    }
    return moves_memory && (moves > 1 || makes_operand);
  }

 private:
  static Value output_of(const Node& node) { return const_cast<Node&>(node).output(); }

  [[nodiscard]] bool is_member(const Value& value) const {
    return std::ranges::find(nodes_, value.node()) != nodes_.end();
  }
  /// Whether a move made it, with what elementwise Nodes came after.
  bool is_moved(const Value& value) {
    if (!is_member(value)) return false;
    if (const auto it = moved_.find(value.node()); it != moved_.end()) return it->second;
    const bool moved = mover_of(value.node()->op()) != nullptr ||
                       std::ranges::any_of(value.node()->inputs(),
                                           [this](const Value& input) { return is_moved(input); });
    return moved_[value.node()] = moved;
  }
  /// Whether the members read the Value at every place along its first `axes` axes.
  bool all_read(const Value& value, int axes) {
    if (!seen_.emplace(value.node(), axes).second) return true;
    return std::ranges::all_of(nodes_, [&](const Node* node) {
      for (std::size_t i = 0; i < node->inputs().size(); ++i) {
        if (node->input(i) == value && !all_read_by(*node, i, axes)) return false;
      }
      return true;
    });
  }
  bool all_read_by(const Node& node, std::size_t operand, int axes) {
    const Value result = output_of(node);
    const Mover* mover = mover_of(node.op());
    if (mover == nullptr) return all_read(result, axes);
    if (operand > 0) return all_read(result, mover->placed(node));
    if (mover->kept(node) < axes) return false;
    // A Node whose places are its own changes no axis that it keeps.
    return all_read(result, mover->placed != nullptr ? axes : result.shape().rank());
  }

  std::span<const Node* const> nodes_;
  std::map<const Node*, bool> moved_;
  std::set<std::pair<const Node*, int>> seen_;
};

}  // namespace

bool is_move_chain(std::span<const Node* const> nodes) { return Chain(nodes).holds(); }

bool is_move_chain(const Node& region) {
  if (region.body() == nullptr || region.outputs().size() != 1) return false;
  return is_move_chain(members_of(region));
}

bool is_placed(const Node& chain) {
  return std::ranges::any_of(members_of(chain), [](const Node* node) {
    const Mover* mover = mover_of(node->op());
    return mover != nullptr && mover->placed != nullptr;
  });
}

bool takes_chain_layout(const Node& chain, const Layout& layout) {
  const Value result = const_cast<Node&>(chain).output();
  if (is_placed(chain)) return walk_of(result.type(), layout).has_value();
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
