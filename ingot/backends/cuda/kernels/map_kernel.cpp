#include "ingot/backends/cuda/kernels/map_kernel.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "ingot/backends/cuda/kernels/strides.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

std::map<std::string_view, ElementSource>& sources() {
  static std::map<std::string_view, ElementSource> table;
  return table;
}

/// Elements of a thread, far enough apart that neighbours in a warp read neighbours in memory.
constexpr int kMostPerThread = 4;

std::string map_body(const Region& region, std::span<const int> results, const CudaKernel& kernel,
                     const Shape& shape, std::int64_t item_elements, std::int64_t units_per_item,
                     int per_thread) {
  std::string code;
  code += fmt::format("const i64 part = unit / {};\n", units_per_item);
  code += fmt::format("const i64 first = (unit - part * {}) * {} + threadIdx.x;\n", units_per_item,
                      kThreads * per_thread);
  for (const int r : results) {
    const DType dtype = region.results[static_cast<std::size_t>(r)].dtype();
    code += fmt::format("{} r{}[{}];\n", compute_type(dtype), r, per_thread);
  }
  code += fmt::format("#pragma unroll\nfor (int q = 0; q < {}; ++q) {{\n", per_thread);
  code += fmt::format("const i64 at = first + q * {};\nif (at >= {}) break;\n", kThreads,
                      item_elements);
  code += fmt::format("const i64 i = part * {} + at;\n", item_elements);
  Place place{shape, write_decode(code, "c", "i", shape), "i"};
  ElementWriter writer(code, region, place);
  if (region.producer != nullptr) {
    const ElementSource source = element_source(region.producer->op());
    writer.bind(const_cast<Node*>(region.producer)->output(),
                source(code, *region.producer, region, place));
  }
  for (const int r : results) {
    const std::string value = writer.value(region.results[static_cast<std::size_t>(r)]);
    code += fmt::format("r{}[q] = {};\n", r, value);
  }
  code += fmt::format("}}\n#pragma unroll\nfor (int q = 0; q < {}; ++q) {{\n", per_thread);
  code += fmt::format("const i64 at = first + q * {};\nif (at >= {}) break;\n", kThreads,
                      item_elements);
  for (const int r : results) {
    const int slot = kernel.outputs()[static_cast<std::size_t>(r)];
    const DType dtype = region.results[static_cast<std::size_t>(r)].dtype();
    code += store_text(slot, dtype, fmt::format("part * {} + at", item_elements),
                       fmt::format("r{}[q]", r));
  }
  code += "}\n";
  return code;
}

class MapKernel final : public CudaKernel {
 public:
  MapKernel(const KernelProblem& problem, std::string name)
      : CudaKernel(problem, std::move(name)), region_(region_of(node(), inputs())) {}

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    std::vector<int> results;
    for (int i = 0; i < static_cast<int>(region_.results.size()); ++i) results.push_back(i);
    StageRequest own = request;
    // Each element sees to the sum itself: by item there are none.
    if (request.reduced) own.mode = Mode::grid;
    return map_stages(own, *this, region_, results);
  }
  [[nodiscard]] bool separable(std::int64_t) const override { return true; }
  [[nodiscard]] bool in_place(int input, int output) const noexcept override {
    // Each thread reads what it overwrites, and nothing else, when all shapes are equal.
    if (region_.producer != nullptr) return false;
    const auto in = static_cast<std::size_t>(input);
    const TensorType& type = node().output_type(static_cast<std::size_t>(output));
    for (const auto& result : region_.results) {
      if (result.shape() != type.shape) return false;
    }
    return node().input_type(in) == type && node().input(in).layout().is_plain();
  }

 private:
  Region region_;
};

std::unique_ptr<Kernel> make_map(const KernelProblem& problem, const Backend&) {
  return std::make_unique<MapKernel>(problem, "map");
}

/// Results are plain; elementwise Nodes read operands by their strides.
Support check_strides(const Node& node) {
  for (const Node::Output& output : node.outputs()) {
    if (!output.layout.is_plain()) return Support::no("its results are not plain");
  }
  for (const Value& input : node.inputs()) {
    if (!strides_of(input)) return Support::no("an operand's layout has no strides");
  }
  return Support::yes();
}

Support supports_map(const Node& node, const Backend&) {
  const Region region = region_of(node, std::vector<int>(node.inputs().size()));
  if (!region.reductions.empty()) return Support::no("it reduces");
  if (region.producer == nullptr) return check_strides(node);
  if (const Support types = check_types(node); !types) return types;
  if (element_source(region.producer->op()) == nullptr) {
    return Support::no(
        fmt::format("{} does not give its elements one by one", region.producer->op().name));
  }
  return Support::yes();
}

}  // namespace

Support check_types(const Node& node) {
  const auto plain = [](const auto& value) { return value.layout.is_plain(); };
  if (!std::ranges::all_of(node.outputs(), plain) ||
      !std::ranges::all_of(node.inputs(), [](const Value& v) { return v.layout().is_plain(); })) {
    return Support::no("its layouts are not plain");
  }
  return Support::yes();
}

std::string operand_pointer(const Region& region, const Node& producer, std::size_t operand) {
  const Value& value = producer.input(operand);
  // Constants of one element are part of a Region's body.
  if (const auto it = region.operands.find(value); it != region.operands.end()) {
    return pointer_to(it->second, value.dtype());
  }
  return fmt::format("Fixed<{}>{{{}}}", compute_type(value.dtype()), constant_text(value));
}

std::vector<Access> all_accesses(const StageRequest& request, const CudaKernel& kernel) {
  std::vector<Access> accesses;
  const bool by_item = request.mode == Mode::item;
  for (std::size_t i = 0; i < kernel.inputs().size(); ++i) {
    accesses.push_back({kernel.inputs()[i], false, by_item && request.item_inputs[i]});
  }
  for (const int slot : kernel.outputs()) accesses.push_back({slot, true, by_item});
  return accesses;
}

std::vector<Stage> map_stages(const StageRequest& request, const CudaKernel& kernel,
                              const Region& region, std::span<const int> results) {
  // One stage a shape: a smaller result is not computed again for every element of a larger one.
  std::vector<Shape> shapes;
  for (const int r : results) {
    const Shape& shape = region.results[static_cast<std::size_t>(r)].shape();
    if (std::ranges::find(shapes, shape) == shapes.end()) shapes.push_back(shape);
  }
  std::vector<Stage> stages;
  for (const Shape& shape : shapes) {
    std::vector<int> own;
    double bytes = 0;
    for (const int r : results) {
      const Value& value = region.results[static_cast<std::size_t>(r)];
      if (value.shape() != shape) continue;
      own.push_back(r);
      bytes += static_cast<double>(value.type().bytes());
    }
    if (shape.numel() == 0) continue;
    for (const auto& [value, slot] : region.operands) {
      bytes += static_cast<double>(value.type().bytes());
    }
    Stage stage;
    stage.what = fmt::format("{} \"{}\"", kernel.node().op().name, kernel.node().name());
    stage.mode = request.mode;
    const std::int64_t items = request.mode == Mode::item ? request.items : 1;
    const std::int64_t elements = shape.numel() / items;
    const bool large = shape.numel() > 2LL * request.multiprocessors * kThreads;
    const int per_thread = large && request.mode == Mode::grid ? kMostPerThread : 1;
    const std::int64_t chunk = kThreads * per_thread;
    stage.units_per_item = (elements + chunk - 1) / chunk;
    stage.units = items * stage.units_per_item;
    stage.body = map_body(region, own, kernel, shape, elements, stage.units_per_item, per_thread);
    if (elements <= kThreads) stage.threads_used = static_cast<int>((elements + 31) / 32 * 32);
    stage.accesses = all_accesses(request, kernel);
    stage.flops = 2.0 * static_cast<double>(shape.numel());
    stage.bytes = bytes;
    stages.push_back(std::move(stage));
  }
  return stages;
}

void register_element_source(KernelTable& table, std::string_view op, ElementSource source) {
  sources()[op] = source;
  table.register_kernel(op, {"map", supports_map, make_map});
}

ElementSource element_source(const OpDef& op) {
  const auto it = sources().find(op.name);
  return it == sources().end() ? nullptr : it->second;
}

void register_map_kernels(KernelTable& table) {
  for (const OpDef* op : elementwise_ops())
    table.register_kernel(op->name, {"map", supports_map, make_map});
  for (const OpDef* op : {&broadcast_to_op(), &cast_op(), &reorder_op(), &fused_op()}) {
    table.register_kernel(op->name, {"map", supports_map, make_map});
  }
}

}  // namespace ingot::cuda
