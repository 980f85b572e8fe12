#include "bench/onednn_peer.h"

#ifdef INGOT_HAVE_ONEDNN
#include <array>
#include <vector>

#include "bench/kernel_timer.h"
#include "ingot/backends/cpu/conv_problem.h"
#include "ingot/backends/cpu/onednn_handles.h"
#include "ingot/backends/cpu/onednn_threads.h"

namespace ingot {
namespace {

using namespace cpu::onednn;  // NOLINT: thin wrappers of its C API

/// Memory of a layout, filled with numbers in [-1, 1).
struct Operand {
  Operand(dnnl_engine_t engine, MemoryDescPtr desc) : data(dnnl_memory_desc_get_size(desc) / 4) {
    unsigned state = 1;
    for (float& value : data) {
      state = state * 1664525U + 1013904223U;
      value = static_cast<float>(state >> 8) * 0x1p-23F - 1.0F;
    }
    memory = create<Memory>(dnnl_memory_create, desc, engine, static_cast<void*>(data.data()));
  }

  std::vector<float> data;
  Memory memory;
};

}  // namespace

std::optional<double> onednn_conv_seconds(const Node& node) {
  const OneThread one_thread;
  const cpu::ConvProblem p = cpu::ConvProblem::of(node);
  const Engine engine = create<Engine>(dnnl_engine_create, dnnl_cpu, std::size_t{0});
  const Stream stream = create<Stream>(dnnl_stream_create, engine.get(), dnnl_stream_default_flags);
  const auto any = [](const auto& dims) { return MemoryDesc(dims, dnnl_format_tag_any); };
  using Dims = std::array<dnnl_dim_t, 4>;
  using GroupedDims = std::array<dnnl_dim_t, 5>;
  const MemoryDesc x = any(Dims{p.n, p.ic, p.ih, p.iw});
  const MemoryDesc w =
      p.groups == 1 ? any(Dims{p.oc, p.ic, p.kh, p.kw})
                    : any(GroupedDims{p.groups, p.oc / p.groups, p.ic / p.groups, p.kh, p.kw});
  const MemoryDesc y = any(Dims{p.n, p.oc, p.oh, p.ow});
  const cpu::onednn::ConvDescs descs{x.get(), w.get(), nullptr, y.get()};
  const ConvGeometry geometry{{p.stride_h, p.stride_w},
                              {p.dilation_h - 1, p.dilation_w - 1},
                              {p.top, p.left},
                              {p.bottom, p.right}};
  PrimitiveDesc desc = conv_forward_desc(engine.get(), descs, geometry, nullptr);
  dnnl_query_t x_query = dnnl_query_src_md;
  dnnl_query_t w_query = dnnl_query_weights_md;
  dnnl_query_t y_query = dnnl_query_dst_md;
  std::array ids{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};
  switch (cpu::conv_kind(node)) {
    case cpu::ConvKind::forward: break;
    case cpu::ConvKind::input_grad:
      desc = conv_input_grad_desc(engine.get(), descs, geometry, nullptr, desc.get());
      x_query = dnnl_query_diff_src_md;
      y_query = dnnl_query_diff_dst_md;
      ids = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST};
      break;
    case cpu::ConvKind::weight_grad:
      desc = conv_weight_grad_desc(engine.get(), descs, geometry, nullptr, desc.get());
      w_query = dnnl_query_diff_weights_md;
      y_query = dnnl_query_diff_dst_md;
      ids = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST};
      break;
  }
  if (!desc) return std::nullopt;
  const auto operand = [&](dnnl_query_t query) {
    return Operand(engine.get(), dnnl_primitive_desc_query_md(desc.get(), query, 0));
  };
  const std::array operands{operand(x_query), operand(w_query), operand(y_query)};
  std::array<dnnl_exec_arg_t, 3> args{};
  for (std::size_t i = 0; i < args.size(); ++i) args[i] = {ids[i], operands[i].memory.get()};
  const PrimitiveHandle primitive = create<PrimitiveHandle>(dnnl_primitive_create, desc.get());
  if (!primitive) return std::nullopt;
  bool ok = true;
  const double seconds = best_seconds([&] {
    ok &= dnnl_primitive_execute(primitive.get(), stream.get(), 3, args.data()) == dnnl_success;
    ok &= dnnl_stream_wait(stream.get()) == dnnl_success;
  });
  return ok ? std::optional(seconds) : std::nullopt;
}

}  // namespace ingot
#else
namespace ingot {

std::optional<double> onednn_conv_seconds(const Node&) { return std::nullopt; }

}  // namespace ingot
#endif  // INGOT_HAVE_ONEDNN
