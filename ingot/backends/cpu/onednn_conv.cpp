#ifdef INGOT_HAVE_ONEDNN
#include "ingot/backends/cpu/onednn_conv.h"

#include <array>
#include <vector>

#include "ingot/backends/cpu/onednn_handles.h"
#include "ingot/backends/cpu/onednn_threads.h"
#include "ingot/base/vendor_call.h"

namespace ingot::cpu::onednn {
namespace {

/// Our tags with oneDNN's: weights of a grouped convolution have one more, leading axis there, yet
/// the same bytes.
struct TagNames {
  std::string_view layout;
  dnnl_format_tag_t tag;
  dnnl_format_tag_t grouped;    ///< weights [g, o, i, h, w]; undef: no such layout
  dnnl_format_tag_t depthwise;  ///< the same where o = i = 1
};

constexpr std::array kTags{
    TagNames{"plain", dnnl_abcd, dnnl_abcde, dnnl_abcde},
    TagNames{"aBcd8b", dnnl_aBcd8b, dnnl_format_tag_undef, dnnl_format_tag_undef},
    TagNames{"aBcd16b", dnnl_aBcd16b, dnnl_format_tag_undef, dnnl_format_tag_undef},
    TagNames{"ABcd8b8a", dnnl_ABcd8b8a, dnnl_aBCde8c8b, dnnl_format_tag_undef},
    TagNames{"ABcd16b16a", dnnl_ABcd16b16a, dnnl_aBCde16c16b, dnnl_format_tag_undef},
    TagNames{"ABcd8a8b", dnnl_ABcd8a8b, dnnl_aBCde8b8c, dnnl_format_tag_undef},
    TagNames{"ABcd16a16b", dnnl_ABcd16a16b, dnnl_aBCde16b16c, dnnl_format_tag_undef},
    TagNames{"BAcd16a16b", dnnl_BAcd16a16b, dnnl_format_tag_undef, dnnl_format_tag_undef},
    TagNames{"Acdb8a", dnnl_Acdb8a, dnnl_aBdec8b, dnnl_format_tag_undef},
    TagNames{"Acdb16a", dnnl_Acdb16a, dnnl_aBdec16b, dnnl_format_tag_undef},
    TagNames{"Abcd8a", dnnl_Abcd8a, dnnl_aBcde8b, dnnl_Abcde8a},
    TagNames{"Abcd16a", dnnl_Abcd16a, dnnl_aBcde16b, dnnl_Abcde16a},
};

dnnl_format_tag_t activation_tag(std::string_view layout) {
  for (const TagNames& names : kTags) {
    if (names.layout == layout) return names.tag;
  }
  return dnnl_format_tag_undef;
}

dnnl_format_tag_t weights_tag(const TagNames& names, const ConvProblem& p) {
  if (p.groups == 1) return names.tag;
  return p.depthwise() ? names.depthwise : names.grouped;
}

MemoryDesc weights_desc(const ConvProblem& p, dnnl_format_tag_t tag) {
  const std::array<dnnl_dim_t, 5> grouped{p.groups, p.oc / p.groups, p.ic / p.groups, p.kh, p.kw};
  const std::array<dnnl_dim_t, 4> dense{p.oc, p.ic, p.kh, p.kw};
  return p.groups > 1 ? MemoryDesc(grouped, tag) : MemoryDesc(dense, tag);
}

/// Our tag for a layout of oneDNN's choice; empty when we have none.
std::string_view layout_of(const ConvProblem& p, MemoryDescPtr chosen) {
  for (const TagNames& names : kTags) {
    const dnnl_format_tag_t tag = weights_tag(names, p);
    if (tag == dnnl_format_tag_undef) continue;
    const MemoryDesc desc = weights_desc(p, tag);
    if (desc.valid() && dnnl_memory_desc_equal(desc.get(), chosen) != 0) return names.layout;
  }
  return {};
}

ConvGeometry geometry_of(const ConvProblem& p) {
  return {{p.stride_h, p.stride_w},
          {p.dilation_h - 1, p.dilation_w - 1},
          {p.top, p.left},
          {p.bottom, p.right}};
}

Attributes make_attributes(const ConvEpilogue& epilogue) {
  Attributes attributes = create<Attributes>(dnnl_primitive_attr_create);
  if (!attributes) return nullptr;
  dnnl_primitive_attr_set_scratchpad_mode(attributes.get(), dnnl_scratchpad_mode_user);
  if (epilogue.relu) {
    const PostOps ops = create<PostOps>(dnnl_post_ops_create);
    append_relu(ops.get());
    dnnl_primitive_attr_set_post_ops(attributes.get(), ops.get());
  }
  return attributes;
}

PrimitiveDesc make_desc(dnnl_engine_t engine, ConvKind kind, const ConvDescs& descs,
                        const ConvGeometry& geometry, dnnl_primitive_attr_t attributes) {
  if (kind == ConvKind::forward) return conv_forward_desc(engine, descs, geometry, attributes);
  // The hint only has to be of the same problem; its layouts are oneDNN's business.
  const PrimitiveDesc hint = conv_forward_desc(engine, descs, geometry, nullptr);
  if (!hint) return nullptr;
  if (kind == ConvKind::input_grad) {
    return conv_input_grad_desc(engine, descs, geometry, attributes, hint.get());
  }
  return conv_weight_grad_desc(engine, descs, geometry, attributes, hint.get());
}

MemoryDescPtr queried(const PrimitiveDesc& desc, dnnl_query_t what, int index = 0) {
  return dnnl_primitive_desc_query_md(desc.get(), what, index);
}

struct ArgumentIds {
  int x, w, y;
};
ArgumentIds argument_ids(ConvKind kind) {
  switch (kind) {
    case ConvKind::forward: return {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};
    case ConvKind::input_grad: return {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST};
    case ConvKind::weight_grad: break;
  }
  return {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST};
}

/// What oneDNN would run, before any code is generated.
struct Choice {
  Choice(dnnl_engine_t engine, const ConvProblem& p, ConvKind kind, const ConvLayouts& layouts,
         const ConvEpilogue& epilogue)
      : x(std::array<dnnl_dim_t, 4>{p.n, p.ic, p.ih, p.iw}, activation_tag(layouts.x)),
        y(std::array<dnnl_dim_t, 4>{p.n, p.oc, p.oh, p.ow}, activation_tag(layouts.y)) {
    dnnl_format_tag_t w_tag = layouts.w == "any" ? dnnl_format_tag_any : dnnl_format_tag_undef;
    for (const TagNames& names : kTags) {
      if (names.layout == layouts.w) w_tag = weights_tag(names, p);
    }
    const MemoryDesc weights = weights_desc(p, w_tag);
    const MemoryDesc bias = epilogue.bias
                                ? MemoryDesc(std::array<dnnl_dim_t, 1>{p.oc}, dnnl_format_tag_any)
                                : MemoryDesc();
    const Attributes attributes = make_attributes(epilogue);
    if (!attributes || !x.valid() || !y.valid() || !weights.valid()) return;
    desc = make_desc(engine, kind, {x.get(), weights.get(), bias.get(), y.get()}, geometry_of(p),
                     attributes.get());
    if (!desc) return;
    const char* name = "";
    dnnl_primitive_desc_query(desc.get(), dnnl_query_impl_info_str, 0, static_cast<void*>(&name));
    implementation = name;
    // "ref" is oneDNN's way out, orders of magnitude slower than any kernel of ours; "gemm" is
    // im2col on plain layouts, where our own kernels are as good.
    if (!implementation.starts_with("jit") && !implementation.starts_with("brg")) return;
    w = queried(desc,
                kind == ConvKind::weight_grad ? dnnl_query_diff_weights_md : dnnl_query_weights_md);
    weights_layout = layout_of(p, w);
  }

  MemoryDesc x, y;
  MemoryDescPtr w = nullptr;
  PrimitiveDesc desc;
  std::string implementation;
  std::string weights_layout;  ///< empty: nothing usable
};

}  // namespace

struct ConvPrimitive::Impl {
  struct Worker {
    Stream stream;
    Memory x, w, bias, y, scratch;
    std::array<dnnl_exec_arg_t, 5> args{};
    int count = 0;

    void add(int id, const Memory& memory) {
      args[static_cast<std::size_t>(count++)] = {id, memory.get()};
    }
  };

  Engine engine;
  PrimitiveHandle primitive;
  std::vector<Worker> workers;
};

ConvPrimitive::ConvPrimitive(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ConvPrimitive::~ConvPrimitive() = default;

std::string ConvPrimitive::choose_weights(const ConvProblem& problem, ConvKind kind,
                                          const ConvLayouts& layouts) {
  const OneThread one_thread;
  const Engine engine = create<Engine>(dnnl_engine_create, dnnl_cpu, std::size_t{0});
  return engine ? Choice(engine.get(), problem, kind, layouts, {}).weights_layout : std::string();
}

std::unique_ptr<ConvPrimitive> ConvPrimitive::make(const ConvProblem& problem, ConvKind kind,
                                                   const ConvLayouts& layouts,
                                                   const ConvEpilogue& epilogue, int workers) {
  const OneThread one_thread;
  auto impl = std::make_unique<Impl>();
  impl->engine = create<Engine>(dnnl_engine_create, dnnl_cpu, std::size_t{0});
  if (!impl->engine) return nullptr;
  const Choice choice(impl->engine.get(), problem, kind, layouts, epilogue);
  if (choice.weights_layout.empty()) return nullptr;
  impl->primitive = create<PrimitiveHandle>(dnnl_primitive_create, choice.desc.get());
  if (!impl->primitive) return nullptr;

  const auto ids = argument_ids(kind);
  const MemoryDescPtr scratch_desc = queried(choice.desc, dnnl_query_scratchpad_md);
  for (int i = 0; i < workers; ++i) {
    Impl::Worker& worker = impl->workers.emplace_back();
    const auto memory = [&impl](MemoryDescPtr md) {
      return create<Memory>(dnnl_memory_create, md, impl->engine.get(),
                            static_cast<void*>(nullptr));
    };
    worker.stream =
        create<Stream>(dnnl_stream_create, impl->engine.get(), dnnl_stream_default_flags);
    worker.x = memory(choice.x.get());
    worker.w = memory(choice.w);
    worker.y = memory(choice.y.get());
    worker.scratch = memory(scratch_desc);
    if (!worker.stream || !worker.x || !worker.w || !worker.y || !worker.scratch) return nullptr;
    worker.add(ids.x, worker.x);
    worker.add(ids.w, worker.w);
    worker.add(ids.y, worker.y);
    worker.add(DNNL_ARG_SCRATCHPAD, worker.scratch);
    if (epilogue.bias) {
      worker.bias = memory(queried(choice.desc, dnnl_query_weights_md, 1));
      if (!worker.bias) return nullptr;
      worker.add(DNNL_ARG_BIAS, worker.bias);
    }
  }

  std::unique_ptr<ConvPrimitive> made(new ConvPrimitive(std::move(impl)));
  made->weights_layout_ = choice.weights_layout;
  made->implementation_ = choice.implementation;
  const auto bytes = static_cast<std::int64_t>(dnnl_memory_desc_get_size(scratch_desc));
  made->scratch_bytes_ = (bytes + 63) / 64 * 64;
  return made;
}

bool ConvPrimitive::run(int worker, const Args& args) noexcept {
  const VendorCall call;
  Impl::Worker& mine = impl_->workers[static_cast<std::size_t>(worker)];
  const auto set = [](const Memory& memory, const void* address) {
    return dnnl_memory_set_data_handle(memory.get(), const_cast<void*>(address)) == dnnl_success;
  };
  bool ok = set(mine.x, args.x) && set(mine.w, args.w) && set(mine.y, args.y);
  if (scratch_bytes_ > 0) ok = ok && set(mine.scratch, args.scratch);
  if (mine.bias) ok = ok && set(mine.bias, args.bias);
  return ok && dnnl_primitive_execute(impl_->primitive.get(), mine.stream.get(), mine.count,
                                      mine.args.data()) == dnnl_success;
}

}  // namespace ingot::cpu::onednn
#endif  // INGOT_HAVE_ONEDNN
