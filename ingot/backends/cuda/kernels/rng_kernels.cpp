// Random numbers: base/philox.h, element by element.
#include <fmt/core.h>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/base/philox.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot::cuda {
namespace {

std::string arguments(const Node& node, const Region& region, const Place& place) {
  return fmt::format("(u64)get({}, 0), {}u, (u64)get({}, 0), (u64)({})",
                     operand_pointer(region, node, 0), node.integer("stream"),
                     operand_pointer(region, node, 1), place.flat);
}

std::string declare(std::string& code, DType dtype, const std::string& value) {
  code += fmt::format("const {} random = {};\n", compute_type(dtype), value);
  return "random";
}

std::string uniform_element(std::string& code, const Node& node, const Region& region,
                            const Place& place) {
  const double low = node.attr<double>("low");
  const bool wide = node.output_type().dtype == DType::f64;
  // In double, as the reference: no fused multiply-add, whose single rounding would differ.
  return declare(code, node.output_type().dtype,
                 fmt::format("__dadd_rn({:a}, __dmul_rn({:a}, philox_uniform{}({})))", low,
                             node.attr<double>("high") - low, wide ? "_f64" : "",
                             arguments(node, region, place)));
}

std::string normal_element(std::string& code, const Node& node, const Region& region,
                           const Place& place) {
  return declare(code, node.output_type().dtype,
                 fmt::format("{:a} + {:a} * philox_normal({})", node.attr<double>("mean"),
                             node.attr<double>("std"), arguments(node, region, place)));
}

std::string bernoulli_element(std::string& code, const Node& node, const Region& region,
                              const Place& place) {
  return declare(code, node.output_type().dtype,
                 fmt::format("(philox_word({}) >> 8) < {}u", arguments(node, region, place),
                             philox_bernoulli_threshold(node.attr<double>("probability"))));
}

/// The three records are told apart by the attribute that only one of them has.
ElementSource source_of(const OpDef& op) {
  if (op.attr_index("low") >= 0) return uniform_element;
  if (op.attr_index("std") >= 0) return normal_element;
  return bernoulli_element;
}

}  // namespace

void register_rng_kernels(KernelTable& table) {
  for (const OpDef* op : rng_ops()) register_element_source(table, op->name, source_of(*op));
}

}  // namespace ingot::cuda
