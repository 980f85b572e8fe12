// A backend that exists in tests only.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "ingot/ir/op_def.h"
#include "ingot/ir/target.h"

namespace ingot::testing_support {

/// Fuses what it is told to, wants channels in blocks for convolutions, claims composites by name.
class FakeTarget final : public Target {
 public:
  std::set<std::string, std::less<>> claimed;
  /// Ops whose first operand, and result, lie in blocks of 8 channels; weights as ABcd8b8a.
  bool blocked = true;
  std::size_t max_region = 32;
  /// Ops that refuse to be fused, with themselves as the reason.
  std::set<std::string, std::less<>> refused;
  /// Whether an update may follow the product that makes its gradient.
  bool joins_updates = false;
  /// Whether a loss and its gradient are one kernel.
  bool joins_losses = false;
  /// Whether weights' conversions are kept.
  bool keeps_copies = false;
  /// Whether it wants batch slices, for these caches; ops that have no kernel for them.
  bool slices = false;
  CacheSizes cache_sizes;
  std::set<std::string, std::less<>> unsliced;
  /// Channels up to which strided convolutions are wanted over blocks of pixels.
  std::int64_t gathers_channels = 0;
  /// Agnostic ops that take plain memory only.
  std::set<std::string, std::less<>> plain_only;

  [[nodiscard]] std::string_view name() const noexcept override { return "fake"; }
  [[nodiscard]] Support supports(const Node& node) const override {
    return unsliced.contains(node.op().name) ? Support::no("no kernel for slices") : Support::yes();
  }
  [[nodiscard]] bool keeps_weight_copies(StepForm) const noexcept override { return keeps_copies; }
  [[nodiscard]] bool slices_batches() const noexcept override { return slices; }
  [[nodiscard]] CacheSizes caches() const noexcept override { return cache_sizes; }
  [[nodiscard]] bool claims(const Node& composite) const override {
    return claimed.contains(composite.op().name);
  }

  [[nodiscard]] LayoutWish layouts(const Node& node, StepForm) const override {
    const Node& primary = *primary_of(&node);
    const std::string_view op = primary.op().name;
    if (blocked && op.starts_with("conv2d")) return conv_wish(node, primary);
    if (node.op().traits.elementwise || op == "cast" || op == "optimizer_update") return {};
    if (node.body() != nullptr || op == "max_pool2d" || op == "sum" || op == "mean" ||
        op == "moments" || op.starts_with("batch_norm")) {
      return {};
    }
    LayoutWish wish{false, {}, {}};
    wish.inputs.assign(node.inputs().size(), Layout{});
    wish.outputs.assign(node.outputs().size(), Layout{});
    return wish;
  }

  [[nodiscard]] bool accepts(const Node& node, const Layout& layout) const override {
    return layout.is_plain() || !plain_only.contains(node.op().name);
  }

  [[nodiscard]] bool wants_space_to_depth(const Node& node, StepForm) const override {
    return node.input_type(0).shape[1] <= gathers_channels;
  }

  [[nodiscard]] Support can_fuse(std::span<const Node* const> region_nodes, const Node& consumer,
                                 StepForm) const override {
    if (region_nodes.size() >= max_region) return Support::no("the region is full");
    if (refused.contains(consumer.op().name)) {
      return Support::no("no fused kernel for " + std::string(consumer.op().name));
    }
    const std::string_view first = region_nodes.front()->op().name;
    if (refused.contains(first)) return Support::no("nothing follows " + std::string(first));
    if (consumer.op().name == "optimizer_update" && joins_updates) {
      return Support::yes();
    }
    if (consumer.op().name == "cross_entropy_grad" && first == "cross_entropy" && joins_losses) {
      return Support::yes();
    }
    const auto light = [](const Node* n) {
      return n->op().traits.elementwise || n->op().traits.reduction || n->op().name == "cast" ||
             n->op().name == "broadcast_to";
    };
    if (!light(&consumer)) {
      return Support::no("not a fusable op");
    }
    const bool heavy = first.starts_with("conv2d") || first == "matmul" || first == "batch_norm";
    if (heavy && consumer.op().traits.reduction) return Support::no("no reduction after it");
    if (!heavy && !std::all_of(region_nodes.begin(), region_nodes.end(), light)) {
      return Support::no("its producer takes no epilogue");
    }
    return Support::yes();
  }

 private:
  /// The convolution of a Region, or the Node itself.
  static const Node* primary_of(const Node* node) {
    if (node->body() == nullptr) return node;
    for (const auto& inner : node->body()->nodes()) {
      if (inner->op().name.starts_with("conv2d")) return inner.get();
    }
    return node;
  }

  /// Images with a few channels stay plain, as a first layer's kernel wants them.
  static Layout image(const Shape& shape) {
    return shape[1] < 8 ? Layout{} : Layout::channels_blocked(8);
  }
  static Layout weight(const Shape& shape) {
    return shape[1] < 8 ? Layout({}, {{0, 8}}) : Layout({}, {{1, 8}, {0, 8}});
  }

  static LayoutWish conv_wish(const Node& node, const Node& conv) {
    LayoutWish wish{false, {}, {}};
    const bool grad_of_weight = conv.op().name == "conv2d_weight_grad";
    // A Region's other operands follow its result.
    const Layout result =
        grad_of_weight ? weight(conv.output_type().shape) : image(conv.output_type().shape);
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      const Shape& shape = node.input_type(i).shape;
      wish.inputs.push_back(shape == node.output_type().shape && node.body() != nullptr ? result
                                                                                        : Layout{});
    }
    for (std::size_t i = 0; i < node.outputs().size(); ++i) wish.outputs.push_back(result);
    for (std::size_t operand = 0; operand < 2; ++operand) {
      const bool is_weight = operand == 1 && !grad_of_weight;
      const Shape& shape = conv.input_type(operand).shape;
      wish.inputs[position(node, conv, operand)] = is_weight ? weight(shape) : image(shape);
    }
    return wish;
  }

  static std::size_t position(const Node& node, const Node& conv, std::size_t operand) {
    if (&node == &conv) return operand;
    return static_cast<std::size_t>(conv.input(operand).node()->integer("index"));
  }
};

}  // namespace ingot::testing_support
