// oneDNN's C API as value types, for onednn_*.cpp alone: the one place that knows the difference
// between oneDNN 2 (operation descriptors, open memory descriptors) and oneDNN 3.
#pragma once

#include <oneapi/dnnl/dnnl.h>

#include <memory>
#include <span>
#include <type_traits>
#include <utility>

namespace ingot::cpu::onednn {

template <auto destroy>
struct Destroy {
  template <typename T>
  void operator()(T* handle) const noexcept {
    destroy(handle);
  }
};
template <typename Handle, auto destroy>
using Unique = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<destroy>>;

using Engine = Unique<dnnl_engine_t, dnnl_engine_destroy>;
using Stream = Unique<dnnl_stream_t, dnnl_stream_destroy>;
using Memory = Unique<dnnl_memory_t, dnnl_memory_destroy>;
using PrimitiveHandle = Unique<dnnl_primitive_t, dnnl_primitive_destroy>;
using PrimitiveDesc = Unique<dnnl_primitive_desc_t, dnnl_primitive_desc_destroy>;
using Attributes = Unique<dnnl_primitive_attr_t, dnnl_primitive_attr_destroy>;
using PostOps = Unique<dnnl_post_ops_t, dnnl_post_ops_destroy>;

/// Runs one of oneDNN's create functions; a null handle when it fails.
template <typename Handle, typename Create, typename... Args>
Handle create(Create function, Args&&... args) {
  typename Handle::pointer raw = nullptr;
  if (function(&raw, std::forward<Args>(args)...) != dnnl_success) return nullptr;
  return Handle(raw);
}

#if DNNL_VERSION_MAJOR >= 3
using MemoryDescPtr = const_dnnl_memory_desc_t;
#else
using MemoryDescPtr = const dnnl_memory_desc_t*;
#endif

/// An f32 tensor's shape and layout.
class MemoryDesc {
 public:
  MemoryDesc() = default;
  MemoryDesc(std::span<const dnnl_dim_t> dims, dnnl_format_tag_t tag) {
    const int rank = static_cast<int>(dims.size());
#if DNNL_VERSION_MAJOR >= 3
    desc_ = create<Handle>(dnnl_memory_desc_create_with_tag, rank, dims.data(), dnnl_f32, tag);
#else
    valid_ = dnnl_memory_desc_init_by_tag(&desc_, rank, dims.data(), dnnl_f32, tag) == dnnl_success;
#endif
  }

  [[nodiscard]] bool valid() const noexcept {
#if DNNL_VERSION_MAJOR >= 3
    return desc_ != nullptr;
#else
    return valid_;
#endif
  }
  /// Null when invalid.
  [[nodiscard]] MemoryDescPtr get() const noexcept {
#if DNNL_VERSION_MAJOR >= 3
    return desc_.get();
#else
    return valid_ ? &desc_ : nullptr;
#endif
  }

 private:
#if DNNL_VERSION_MAJOR >= 3
  using Handle = Unique<dnnl_memory_desc_t, dnnl_memory_desc_destroy>;
  Handle desc_;
#else
  dnnl_memory_desc_t desc_{};
  bool valid_ = false;
#endif
};

struct ConvGeometry {
  dnnl_dims_t strides, dilates, padding_begin, padding_end;
};
struct ConvDescs {
  MemoryDescPtr x, w, bias, y;  ///< bias may be null
};

inline PrimitiveDesc conv_forward_desc(dnnl_engine_t engine, const ConvDescs& descs,
                                       const ConvGeometry& g, dnnl_primitive_attr_t attributes) {
  // Inference: nothing is kept for oneDNN's own backward pass, and post-ops are allowed.
  constexpr dnnl_prop_kind_t kind = dnnl_forward_inference;
#if DNNL_VERSION_MAJOR >= 3
  return create<PrimitiveDesc>(dnnl_convolution_forward_primitive_desc_create, engine, kind,
                               dnnl_convolution_direct, descs.x, descs.w, descs.bias, descs.y,
                               g.strides, g.dilates, g.padding_begin, g.padding_end, attributes);
#else
  dnnl_convolution_desc_t op;
  if (dnnl_dilated_convolution_forward_desc_init(&op, kind, dnnl_convolution_direct, descs.x,
                                                 descs.w, descs.bias, descs.y, g.strides, g.dilates,
                                                 g.padding_begin, g.padding_end) != dnnl_success) {
    return nullptr;
  }
  return create<PrimitiveDesc>(dnnl_primitive_desc_create, &op, attributes, engine, nullptr);
#endif
}

inline PrimitiveDesc conv_input_grad_desc(dnnl_engine_t engine, const ConvDescs& descs,
                                          const ConvGeometry& g, dnnl_primitive_attr_t attributes,
                                          const_dnnl_primitive_desc_t hint) {
#if DNNL_VERSION_MAJOR >= 3
  return create<PrimitiveDesc>(dnnl_convolution_backward_data_primitive_desc_create, engine,
                               dnnl_convolution_direct, descs.x, descs.w, descs.y, g.strides,
                               g.dilates, g.padding_begin, g.padding_end, hint, attributes);
#else
  dnnl_convolution_desc_t op;
  if (dnnl_dilated_convolution_backward_data_desc_init(
          &op, dnnl_convolution_direct, descs.x, descs.w, descs.y, g.strides, g.dilates,
          g.padding_begin, g.padding_end) != dnnl_success) {
    return nullptr;
  }
  return create<PrimitiveDesc>(dnnl_primitive_desc_create, &op, attributes, engine, hint);
#endif
}

inline PrimitiveDesc conv_weight_grad_desc(dnnl_engine_t engine, const ConvDescs& descs,
                                           const ConvGeometry& g, dnnl_primitive_attr_t attributes,
                                           const_dnnl_primitive_desc_t hint) {
#if DNNL_VERSION_MAJOR >= 3
  return create<PrimitiveDesc>(dnnl_convolution_backward_weights_primitive_desc_create, engine,
                               dnnl_convolution_direct, descs.x, descs.w, descs.bias, descs.y,
                               g.strides, g.dilates, g.padding_begin, g.padding_end, hint,
                               attributes);
#else
  dnnl_convolution_desc_t op;
  if (dnnl_dilated_convolution_backward_weights_desc_init(
          &op, dnnl_convolution_direct, descs.x, descs.w, descs.bias, descs.y, g.strides, g.dilates,
          g.padding_begin, g.padding_end) != dnnl_success) {
    return nullptr;
  }
  return create<PrimitiveDesc>(dnnl_primitive_desc_create, &op, attributes, engine, hint);
#endif
}

inline void append_relu(dnnl_post_ops_t ops) {
#if DNNL_VERSION_MAJOR >= 3
  dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_relu, 0.0F, 0.0F);
#else
  dnnl_post_ops_append_eltwise(ops, 1.0F, dnnl_eltwise_relu, 0.0F, 0.0F);
#endif
}

}  // namespace ingot::cpu::onednn
