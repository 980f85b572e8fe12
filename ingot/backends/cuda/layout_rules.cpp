#include "ingot/backends/cuda/layout_rules.h"

#include <algorithm>

#include "ingot/backends/cuda/kernels/move_chain.h"
#include "ingot/backends/cuda/kernels/pool_window.h"
#include "ingot/backends/cuda/kernels/reduce_region.h"
#include "ingot/backends/cuda/kernels/vector_pool.h"
#include "ingot/backends/cuda/kernels/vector_walk.h"
#include "ingot/ir/bits.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/conv2d_shape.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/reduction.h"

namespace ingot::cuda {
namespace {

LayoutWish all_plain(const Node& node) {
  return {.agnostic = false,
          .inputs = std::vector<Layout>(node.inputs().size()),
          .outputs = std::vector<Layout>(node.outputs().size())};
}

Region region_of(const Node& node) {
  return cuda::region_of(node, std::vector<int>(node.inputs().size()));
}

/// Axis 1 innermost, and padded to whole vectors of 16 bytes where `channels` are not.
Layout channels_last(std::int64_t channels, DType dtype) {
  const std::int64_t vector = 16 / static_cast<std::int64_t>(dtype_size(dtype));
  if (channels % vector == 0) return Layout({0, 2, 3, 1}, {});
  return Layout({0, 2, 3, 1}, {{1, vector}});
}

/// Whether tensor cores do the arithmetic: their kernels read channels 16 bytes at a time.
bool uses_tensor_cores(const Node& node) {
  const DType dtype = node.input_type(0).dtype;
  if (dtype == DType::bf16 || dtype == DType::f16) return true;
  return dtype == DType::f32 && node.op().attr_index("math") >= 0 &&
         node.attr<std::string>("math") == "tf32";
}

/// Of a convolution or one of its gradients: all of its operands and results have channels
/// innermost, or none. Few f32 channels of a feed are read as they come: a reorder would take
/// longer than their copies by words.
LayoutWish convolution_wish(const Node& node, bool of_feed) {
  const Conv2dShape s = conv2d_shape(node);
  const DType dtype = node.input_type(0).dtype;
  const std::int64_t vector = 16 / static_cast<std::int64_t>(dtype_size(dtype));
  const bool wants = uses_tensor_cores(node) && s.groups == 1 && s.out_channels % vector == 0 &&
                     s.batch > 0 && s.in_channels > 0;
  if (!wants) return all_plain(node);
  // Images and weights share axis 1, the input's channels.
  const Layout in = channels_last(s.in_channels, dtype);
  const Layout out = channels_last(s.out_channels, dtype);
  const Layout image =
      of_feed && dtype == DType::f32 && s.in_channels % vector != 0 ? Layout{} : in;
  switch (conv2d_operands(node.op())->kind) {
    case ConvKind::input_grad: return {false, {out, in}, {in}};
    case ConvKind::weight_grad: return {false, {image, out}, {in}};
    case ConvKind::forward: break;
  }
  return {false, {image, in}, {out}};
}

/// Whether the producer's first operand is a feed of the step.
bool reads_feed(const Node& node, const Node& producer) {
  const Node* source = producer.input(0).node();
  if (&producer != &node && &source->op() == &argument_op()) {
    source = node.input(static_cast<std::size_t>(source->integer("index"))).node();
  }
  return &source->op() == &placeholder_op();
}

/// The producer's operands and result as it wishes; what has the result's shape lies as it does.
LayoutWish region_wish(const Node& region, const Node& producer, const LayoutWish& own) {
  const Layout& result = own.outputs.front();
  LayoutWish wish{false, std::vector<Layout>(region.inputs().size()),
                  std::vector<Layout>(region.outputs().size(), result)};
  for (std::size_t i = 0; i < wish.inputs.size(); ++i) {
    if (region.input_type(i).shape == producer.output_type().shape) wish.inputs[i] = result;
  }
  for (std::size_t i = 0; i < producer.inputs().size(); ++i) {
    const Node& operand = *producer.input(i).node();
    if (&operand.op() != &argument_op()) continue;
    wish.inputs[static_cast<std::size_t>(operand.integer("index"))] = own.inputs[i];
  }
  return wish;
}

/// Images that only the step's feeds are made into: they change their layout on the way, in the
/// kernel that converts or normalises them.
bool makes_images_of_feeds(const Node& node, const Region& region) {
  if (!region.reductions.empty() || node.outputs().size() != 1) return false;
  const TensorType& type = node.output_type();
  if (type.shape.rank() != 4 || !is_float(type.dtype)) return false;
  bool feeds = false;
  for (const Value& input : node.inputs()) {
    if (input.shape() != type.shape) continue;
    if (&input.node()->op() != &placeholder_op()) return false;
    feeds = true;
  }
  return feeds;
}

/// Values of the largest shape share a layout.
const Shape& largest(const Node& node) {
  const Shape* full = &node.output_type().shape;
  for (const Value& input : node.inputs()) {
    if (input.type().numel() > full->numel()) full = &input.shape();
  }
  for (const Node::Output& output : node.outputs()) {
    if (output.type.numel() > full->numel()) full = &output.type.shape;
  }
  return *full;
}

/// Whether vectors hold the Node's Values of the largest shape in `elements`, and bits beside them.
bool takes_bits(const Node& node, const Layout& elements) {
  const Region region = region_of(node);
  constexpr int kBits = 8;
  return region.producer == nullptr && !is_conversions(node) && !is_move_chain(node) &&
         VectorWalk::of(largest(node), elements, kBits, false).has_value();
}

}  // namespace

LayoutWish layout_wish(const Node& node) {
  if (node.outputs().empty()) return all_plain(node);
  if (&node.op() == &optimizer_update_op() || node.op().traits.any_layouts) return {};
  if (is_move_chain(node)) {
    if (!is_placed(node)) return {};
    // What is gathered lies as it came, and the result as what reads it likes.
    return {false, std::vector<Layout>(node.inputs().size()), {}};
  }
  const Region region = region_of(node);
  if (region.producer != nullptr) {
    const Node& producer = *region.producer;
    if (conv2d_operands(producer.op())) {
      LayoutWish own = convolution_wish(producer, reads_feed(node, producer));
      return &producer == &node ? own : region_wish(node, producer, own);
    }
    return is_window(node) ? LayoutWish{} : all_plain(node);
  }
  if (makes_images_of_feeds(node, region)) {
    LayoutWish wish = all_plain(node);
    const TensorType& type = node.output_type();
    wish.outputs[0] = channels_last(type.shape[1], type.dtype);
    return wish;
  }
  return {};
}

bool takes_layout(const Node& node, const Layout& layout) {
  if (has_bits(layout)) return takes_bits(node, in_elements(layout));
  if (layout.is_plain() || &node.op() == &optimizer_update_op()) return true;
  if (is_conversions(node) || node.op().traits.any_layouts) return true;
  if (is_move_chain(node)) return takes_chain_layout(node, layout);
  const Region region = region_of(node);
  const Shape& full = largest(node);
  const auto walk = VectorWalk::of(full, layout, vector_of(region, full), false);
  if (!walk) return false;
  const auto fits = [&](const TensorType& type) {
    return type.shape != full || has_lane(type.dtype);
  };
  for (const Value& input : node.inputs()) {
    if (!fits(input.type())) return false;
  }
  for (const Node::Output& output : node.outputs()) {
    if (!fits(output.type)) return false;
  }
  if (region.producer != nullptr) {
    if (!is_window(node) || walk->is_padded()) return false;
    return &node.op() != &max_pool2d_grad_op() || fits_pool_tile(node);
  }
  return std::ranges::all_of(region.reductions, [&](const Node* reduction) {
    return reduce_kind(*reduction) != ReduceKind::none && reduction->input_type(0).shape == full &&
           rows_of_output(ReduceAxes(*reduction), *walk) > 0;
  });
}

}  // namespace ingot::cuda
