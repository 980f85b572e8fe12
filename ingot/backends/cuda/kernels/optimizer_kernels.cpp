// One update rule over all tensors of a group, in one stage.
#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/tensor_table.h"
#include "ingot/backends/cuda/kernels/vector_walk.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

// Elements of a thread: enough loads under way. Few elements lie a block apart, so that neighbours
// read neighbours; many are read four at a time.
constexpr int kPerThread = 4;
constexpr int kVectors = 2;
constexpr std::int64_t kManyElements = 1 << 20;

/// The update that a Node is, or that it has in a Region with the same operands and results, which
/// casts of some of the results follow. Null for other Nodes.
const Node* update_of(const Node& node) {
  if (node.body() == nullptr) return &node;
  const std::vector<Fetch>& results = node.body()->fetches();
  const Node* const update = results.front().value.node();
  if (&update->op() != &optimizer_update_op()) return nullptr;
  const std::size_t own = update->outputs().size();
  if (results.size() < own || update->inputs().size() != node.inputs().size()) return nullptr;
  for (std::size_t i = 0; i < update->inputs().size(); ++i) {
    const Node& argument = *update->input(i).node();
    const bool same = &argument.op() == &argument_op() &&
                      argument.integer("index") == static_cast<std::int64_t>(i);
    if (!same) return nullptr;
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Node& result = *results[i].value.node();
    const bool is_own = &result == update && results[i].value.index() == static_cast<int>(i);
    const bool is_copy = &result.op() == &cast_op() && result.input(0).node() == update;
    if (i < own ? !is_own : !is_copy) return nullptr;
  }
  return update;
}

/// Of each tensor: which result of the Node is a cast of its new value; -1: none. Nothing where
/// something else is cast, or twice.
std::optional<std::vector<int>> copies_of(const Node& node, const Node& update) {
  const std::size_t results = 1 + static_cast<std::size_t>(update.integer("num_states"));
  std::vector<int> copies(update.outputs().size() / results, -1);
  for (std::size_t i = update.outputs().size(); i < node.outputs().size(); ++i) {
    const Node& cast = *node.body()->fetches()[i].value.node();
    const auto from = static_cast<std::size_t>(cast.input(0).index());
    if (from % results != 0 || copies[from / results] >= 0) return std::nullopt;
    copies[from / results] = static_cast<int>(i);
  }
  return copies;
}

class OptimizerKernel final : public CudaKernel {
 public:
  explicit OptimizerKernel(const KernelProblem& problem)
      : CudaKernel(problem, "optimizer"),
        update_(*update_of(node())),
        copies_(*copies_of(node(), update_)),
        scalars_(static_cast<std::size_t>(update_.integer("num_scalars"))),
        states_(static_cast<std::size_t>(update_.integer("num_states"))) {}

  [[nodiscard]] bool in_place(int input, int output) const noexcept override {
    // Output j of a tensor is its operand j, the gradient left out.
    const auto in = static_cast<std::size_t>(input);
    if (in < scalars_) return false;
    const std::size_t group = 2 + states_;
    const std::size_t operand = (in - scalars_) % group;
    if (operand == 1) return false;
    const std::size_t wanted =
        (in - scalars_) / group * (1 + states_) + (operand == 0 ? 0 : operand - 1);
    return wanted == static_cast<std::size_t>(output);
  }

  [[nodiscard]] std::vector<Update> updates() const override {
    std::vector<Update> updates;
    for (std::size_t t = 0; t < tensors(); ++t) {
      if (dtype_of(t, 1) == DType::f32 && copies_[t] < 0) updates.push_back(update(t));
    }
    return updates;
  }

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    // One text serves all tensors whose gradients, and copies, have one dtype.
    std::vector<std::pair<DType, std::optional<DType>>> kinds;
    for (std::size_t t = 0; t < tensors(); ++t) {
      const auto kind = std::pair(dtype_of(t, 1), copy_dtype(t));
      if (std::ranges::find(kinds, kind) == kinds.end()) kinds.push_back(kind);
    }
    std::vector<Stage> stages;
    for (const auto& kind : kinds) {
      std::vector<std::size_t> own;
      for (std::size_t t = 0; t < tensors(); ++t) {
        const TensorType& gradient = node().input_type(operand(t, 1));
        const int slot = inputs()[operand(t, 1)];
        const bool elsewhere = std::ranges::find(request.updated, slot) != request.updated.end();
        const bool of_kind = std::pair(gradient.dtype, copy_dtype(t)) == kind;
        if (of_kind && gradient.numel() > 0 && !elsewhere) own.push_back(t);
      }
      if (!own.empty()) stages.push_back(stage_of(request, own));
    }
    return stages;
  }

 private:
  [[nodiscard]] std::size_t group() const { return 2 + states_; }
  [[nodiscard]] std::size_t tensors() const { return (inputs().size() - scalars_) / group(); }
  [[nodiscard]] std::size_t operand(std::size_t tensor, std::size_t o) const {
    return scalars_ + tensor * group() + o;
  }

  [[nodiscard]] std::optional<DType> copy_dtype(std::size_t tensor) const {
    if (copies_[tensor] < 0) return std::nullopt;
    return node().output_type(static_cast<std::size_t>(copies_[tensor])).dtype;
  }

  /// The rule for one element of a tensor, whose gradient is at hand.
  [[nodiscard]] Update update(std::size_t tensor) const {
    Update update;
    update.slot = inputs()[operand(tensor, 1)];
    const auto read = [&](std::size_t input, const std::string& name, const std::string& at) {
      const DType type = node().input_type(input).dtype;
      update.loads.push_back({std::string(compute_type(type)), name,
                              fmt::format("get({}, {})", pointer_to(inputs()[input], type), at)});
      update.accesses.push_back({inputs()[input], false, false});
    };
    for (std::size_t s = 0; s < scalars_; ++s) read(s, fmt::format("s{}", s), "0");
    for (std::size_t o = 0; o < group(); ++o) {
      if (o != 1) read(operand(tensor, o), fmt::format("x{}", o), "i");
    }
    update.body += "const float x1 = value;\n";
    const auto results = write_rule(update.body, tensor, "");
    for (std::size_t r = 0; r < results.size(); ++r) {
      const std::size_t output = tensor * (1 + states_) + r;
      const int slot = outputs()[output];
      update.body +=
          fmt::format("put_if(go, {}, i, {});\n",
                      pointer_to(slot, node().output_type(output).dtype, true), results[r]);
      update.accesses.push_back({slot, true, false});
    }
    return update;
  }

  [[nodiscard]] Stage stage_of(const StageRequest& request,
                               std::span<const std::size_t> own) const {
    Stage stage;
    stage.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    stage.mode = request.mode == Mode::item ? Mode::grid : request.mode;
    stage.accesses = all_accesses(request, *this);
    for (Access& access : stage.accesses) access.by_item = false;
    std::vector<std::int64_t> sizes;
    double elements = 0;
    for (const std::size_t t : own) {
      const Value& parameter = node().input(operand(t, 0));
      sizes.push_back(parameter.layout().physical_numel(parameter.shape()));
      elements += static_cast<double>(sizes.back());
    }
    const bool many = elements >= kManyElements && has_vectors();
    const TensorTable table =
        tensor_table(sizes, std::int64_t{kThreads} * kPerThread * (many ? kVectors : 1));
    std::string code = table.text;
    for (std::size_t s = 0; s < scalars_; ++s) {
      code += fmt::format("const auto s{} = get({}, 0);\n", s,
                          pointer_to(inputs()[s], node().input_type(s).dtype));
    }
    for (std::size_t o = 0; o < group(); ++o) {
      code += table_pointer(fmt::format("in{}", o), own.size(),
                            [&](std::size_t i) { return inputs()[operand(own[i], o)]; });
    }
    for (std::size_t r = 0; r < 1 + states_; ++r) {
      code += table_pointer(fmt::format("out{}", r), own.size(),
                            [&](std::size_t i) { return outputs()[own[i] * (1 + states_) + r]; });
    }
    if (copies_[own.front()] >= 0) {
      code += table_pointer("copy", own.size(), [&](std::size_t i) {
        return outputs()[static_cast<std::size_t>(copies_[own[i]])];
      });
    }
    code += many ? vector_body(own.front()) : element_body(own.front());
    stage.body = std::move(code);
    stage.units = table.units;
    stage.flops = elements * update_.attr<ScalarProgram>("rule").flops();
    stage.bytes = 0;
    for (std::size_t o = 0; o < group(); ++o) {
      const auto size = static_cast<double>(dtype_size(dtype_of(own.front(), o)));
      // Everything but the gradient is written, too.
      stage.bytes += elements * size * (o == 1 ? 1 : 2);
    }
    if (const auto copy = copy_dtype(own.front())) {
      stage.bytes += elements * static_cast<double>(dtype_size(*copy));
    }
    return stage;
  }

  [[nodiscard]] DType dtype_of(std::size_t tensor, std::size_t o) const {
    return node().input_type(operand(tensor, o)).dtype;
  }
  [[nodiscard]] bool has_vectors() const {
    return std::ranges::all_of(node().inputs(),
                               [](const Value& v) { return dtype_size(v.dtype()) <= 4; });
  }

  /// The rule on x0, x1, ... at `index`; returns the results' texts.
  std::vector<std::string> write_rule(std::string& code, std::size_t tensor,
                                      std::string_view index) const {
    std::vector<std::string> names;
    std::vector<DType> types;
    for (std::size_t s = 0; s < scalars_; ++s) {
      names.push_back(fmt::format("s{}", s));
      types.push_back(node().input_type(s).dtype);
    }
    for (std::size_t o = 0; o < group(); ++o) {
      const DType dtype = dtype_of(tensor, o);
      const bool is_widened = o == 1 && dtype != dtype_of(tensor, 0);
      names.push_back(fmt::format("x{}{}", o, index));
      // The rule is one of the parameter's dtype; a narrower gradient is widened.
      types.push_back(is_widened ? dtype_of(tensor, 0) : dtype);
    }
    return write_program(code, update_.attr<ScalarProgram>("rule"), names, types, "u");
  }

  [[nodiscard]] std::string element_body(std::size_t tensor) const {
    const std::string loop = fmt::format(
        "#pragma unroll\nfor (int q = 0; q < {}; ++q) {{ const i64 i = first + threadIdx.x + q * "
        "{};\nif (i < size) {{\n",
        kPerThread, kThreads);
    std::string code;
    std::string loads;
    for (std::size_t o = 0; o < group(); ++o) {
      const DType dtype = dtype_of(tensor, o);
      code += fmt::format("{} x{}[{}];\n", compute_type(dtype), o, kPerThread);
      loads += fmt::format("x{0}[q] = get((const {1}*)in{0}, i);\n", o, storage_type(dtype));
    }
    // All loads before the first store, which the compiler could not move them past.
    code += loop + loads + "} }\n" + loop;
    const auto results = write_rule(code, tensor, "[q]");
    for (std::size_t r = 0; r < results.size(); ++r) {
      code += fmt::format("put(({}*)out{}, i, {});\n", storage_type(node().output_type(r).dtype), r,
                          results[r]);
    }
    if (const auto copy = copy_dtype(tensor)) {
      code += fmt::format("put(({}*)copy, i, {});\n", storage_type(*copy),
                          convert_text(results[0], dtype_of(tensor, 0), *copy));
    }
    return code + "} }\n";
  }

  /// Whole vectors by words; the elements of a last, shorter one by themselves.
  [[nodiscard]] std::string vector_body(std::size_t tensor) const {
    const std::string loop = fmt::format(
        "#pragma unroll\nfor (int q = 0; q < {}; ++q) {{\nconst i64 i = first + (threadIdx.x + q * "
        "{}) * 4;\nif (i + 4 <= size) {{\n",
        kVectors, kThreads);
    std::string code;
    std::string loads;
    std::string elements;
    std::string singles;
    for (std::size_t o = 0; o < group(); ++o) {
      const DType dtype = dtype_of(tensor, o);
      const std::string_view type = storage_type(dtype);
      code += fmt::format("Raw<{}> w{}[{}];\n", dtype_size(dtype), o, kVectors);
      loads += fmt::format("w{0}[q] = load_words<{1}>((const {2}*)in{0} + i);\n", o,
                           dtype_size(dtype), type);
      elements += fmt::format("const float x{0} = Lane<{1}>::get(w{0}[q].w, e);\n", o, type);
      singles += fmt::format("const float x{0} = get((const {1}*)in{0}, k);\n", o, type);
    }
    code += loop + loads + "}\n}\n" + loop;
    std::string stores;
    for (std::size_t r = 0; r < 1 + states_; ++r) {
      const DType dtype = node().output_type(r).dtype;
      code += fmt::format("Raw<{}> y{};\n", dtype_size(dtype), r);
      stores += fmt::format("store_words(({0}*)out{1} + i, y{1});\n", storage_type(dtype), r);
    }
    const auto copy = copy_dtype(tensor);
    if (copy) {
      code += fmt::format("Raw<{}> c;\n", dtype_size(*copy));
      stores += fmt::format("store_words(({}*)copy + i, c);\n", storage_type(*copy));
    }
    code += "#pragma unroll\nfor (int e = 0; e < 4; ++e) {\n" + elements;
    auto results = write_rule(code, tensor, "");
    for (std::size_t r = 0; r < results.size(); ++r) {
      code += fmt::format("Lane<{}>::set(y{}.w, e, {});\n",
                          storage_type(node().output_type(r).dtype), r, results[r]);
    }
    if (copy) {
      code += fmt::format("Lane<{}>::set(c.w, e, {});\n", storage_type(*copy),
                          convert_text(results[0], dtype_of(tensor, 0), *copy));
    }
    code += "}\n" + stores + "} else {\nfor (i64 k = i; k < size; ++k) {\n" + singles;
    results = write_rule(code, tensor, "");
    for (std::size_t r = 0; r < results.size(); ++r) {
      code += fmt::format("put(({}*)out{}, k, {});\n", storage_type(node().output_type(r).dtype), r,
                          results[r]);
    }
    if (copy) {
      code += fmt::format("put(({}*)copy, k, {});\n", storage_type(*copy),
                          convert_text(results[0], dtype_of(tensor, 0), *copy));
    }
    return code + "}\n}\n}\n";
  }

  const Node& update_;
  std::vector<int> copies_;  // of each tensor; see copies_of()
  std::size_t scalars_;
  std::size_t states_;
};

Support supports_optimizer(const Node& node, const Backend&) {
  const Node* const update = update_of(node);
  const auto copies = update == nullptr ? std::nullopt : copies_of(node, *update);
  if (!copies) return Support::no("it is no update with copies of its results");
  const auto scalars = static_cast<std::size_t>(update->integer("num_scalars"));
  const auto group = 2 + static_cast<std::size_t>(update->integer("num_states"));
  for (std::size_t i = scalars; i < node.inputs().size(); ++i) {
    const Value& parameter = node.input(i - (i - scalars) % group);
    if (node.input(i).layout() != parameter.layout()) {
      return Support::no("a tensor's operands lie in different layouts");
    }
    const bool is_gradient = (i - scalars) % group == 1;
    if (is_gradient &&
        (node.input_type(i).dtype == DType::f64) != (parameter.dtype() == DType::f64)) {
      return Support::no(fmt::format("a gradient of {} updates a parameter of {}",
                                     dtype_name(node.input_type(i).dtype),
                                     dtype_name(parameter.dtype())));
    }
  }
  for (std::size_t t = 0; t < copies->size(); ++t) {
    if ((*copies)[t] < 0) continue;
    const Node::Output& copy = node.outputs()[static_cast<std::size_t>((*copies)[t])];
    const Value& parameter = node.input(scalars + t * group);
    if (copy.layout != parameter.layout()) return Support::no("a copy lies in another layout");
    if (parameter.dtype() != DType::f32 || !has_lane(copy.type.dtype)) {
      return Support::no(fmt::format("no vectors copy {} as {}", dtype_name(parameter.dtype()),
                                     dtype_name(copy.type.dtype)));
    }
  }
  return Support::yes();
}

}  // namespace

void register_optimizer_kernels(KernelTable& table) {
  for (const OpDef* op : {&optimizer_update_op(), &fused_op()}) {
    table.register_kernel(op->name, {"optimizer", supports_optimizer,
                                     [](const KernelProblem& problem, const Backend&) {
                                       return std::make_unique<OptimizerKernel>(problem);
                                     }});
  }
}

}  // namespace ingot::cuda
