// Which layouts convolutions run fastest in.
#include "ingot/backends/cpu/conv_problem.h"
#include "ingot/backends/cpu/cpu_layouts.h"
#include "ingot/backends/cpu/epilogue.h"
#include "ingot/ir/op_def.h"
#ifdef INGOT_HAVE_ONEDNN
#include "ingot/backends/cpu/onednn_conv.h"
#endif

namespace ingot {
namespace {

struct ConvLayoutChoice {
  Layout x, w, y;
};

#ifdef INGOT_HAVE_ONEDNN
/// The widest block of channels that both activations fill; an input of few channels stays plain.
/// 0: few channels on both sides, where our own kernels on plain layouts are faster.
std::int64_t channel_block(const cpu::ConvProblem& p, int vector_block) {
  for (const std::int64_t block : {16, 8}) {
    const bool input_fits = p.ic % block == 0 || (p.ic < 8 && p.oc > 8);
    if (block <= vector_block && input_fits && p.oc % block == 0) return block;
  }
  return 0;
}

/// One answer for the three ops of a convolution, so that neither activations nor weights are
/// reordered between them: what oneDNN's forward pass wants.
ConvLayoutChoice choose(const Node& node, int vector_block) {
  const cpu::ConvProblem p = cpu::ConvProblem::of(node);
  const std::int64_t block = channel_block(p, vector_block);
  if (block == 0 || p.n == 0) return {};
  const Layout blocked = Layout::channels_blocked(block);
  ConvLayoutChoice choice{.x = p.ic < 8 ? Layout() : blocked, .w = {}, .y = blocked};
  const std::string weights = cpu::onednn::ConvPrimitive::choose_weights(
      p, cpu::ConvKind::forward, {choice.x.to_string(4), "any", choice.y.to_string(4)});
  if (weights.empty()) return {};
  choice.w = Layout::parse(weights);
  return choice;
}
#else
ConvLayoutChoice choose(const Node&, int) { return {}; }
#endif

/// The producer's operands and result as it wishes; what has the result's shape lies as it does.
LayoutWish region_wish(const Node& region, const Node& producer, const LayoutWish& own) {
  const Layout result = own.agnostic ? Layout() : own.outputs[0];
  LayoutWish wish{.agnostic = false,
                  .inputs = std::vector<Layout>(region.inputs().size()),
                  .outputs = std::vector<Layout>(region.outputs().size(), result)};
  for (std::size_t i = 0; i < wish.inputs.size(); ++i) {
    if (region.input_type(i).shape == producer.output_type().shape) wish.inputs[i] = result;
  }
  for (std::size_t i = 0; i < producer.inputs().size() && !own.agnostic; ++i) {
    const auto index = static_cast<std::size_t>(producer.input(i).node()->integer("index"));
    wish.inputs[index] = own.inputs[i];
  }
  return wish;
}

}  // namespace

LayoutWish conv_layout_wish(const Node& node, int vector_block) {
  if (const Node* producer = cpu::epilogue_producer(node); producer != nullptr) {
    return region_wish(node, *producer, conv_layout_wish(*producer, vector_block));
  }
  if (!cpu::is_conv(node)) return {};
  if (cpu::conv_values(node).x->type.dtype != DType::f32) {
    return {.agnostic = false, .inputs = {{}, {}}, .outputs = {{}}};
  }
  const auto [x, w, y] = choose(node, vector_block);
  switch (cpu::conv_kind(node)) {
    case cpu::ConvKind::forward: return {.agnostic = false, .inputs = {x, w}, .outputs = {y}};
    case cpu::ConvKind::input_grad: return {.agnostic = false, .inputs = {y, w}, .outputs = {x}};
    case cpu::ConvKind::weight_grad: break;
  }
  return {.agnostic = false, .inputs = {x, y}, .outputs = {w}};
}

}  // namespace ingot
