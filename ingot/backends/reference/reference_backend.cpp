#include "ingot/backends/reference/reference_backend.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/evaluate.h"
#include "ingot/ir/op_def.h"
#include "ingot/memory/host_device.h"
#include "ingot/ops/registry.h"

namespace ingot {
namespace {

class ReferenceKernel final : public Kernel {
 public:
  explicit ReferenceKernel(KernelProblem problem)
      : node_(problem.node),
        inputs_(std::move(problem.inputs)),
        outputs_(std::move(problem.outputs)) {}

  void run(const KernelContext& context) noexcept override {
    std::vector<HostView> operands;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      operands.push_back({node_.input_type(i), context.slots[inputs_[i]]});
    }
    StepError error;
    const std::vector<HostTensor> results = evaluate_node(node_, operands, &error);
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      std::ranges::copy(results[i].bytes(), context.slots[outputs_[i]]);
    }
    if (error.node >= 0) {
      context.errors->latch(node_.id(), error.rule, error.value, error.index);
    }
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "reference"; }

 private:
  const Node& node_;
  std::vector<int> inputs_;
  std::vector<int> outputs_;
};

Support supports_reference(const Node& node, const Backend&) {
  const OpDef& op = node.op();
  if (node.body() != nullptr || op.traits.composite || op.reference != nullptr)
    return Support::yes();
  return Support::no(fmt::format("{} has no reference kernel", op.name));
}

class ReferenceBackend final : public Backend {
 public:
  ReferenceBackend() : device_(make_host_device()) {
    for (const OpDef* op : all_ops()) {
      table_.register_kernel(op->name, {"reference", supports_reference,
                                        [](const KernelProblem& problem, const Backend&) {
                                          return std::make_unique<ReferenceKernel>(problem);
                                        }});
    }
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "reference"; }
  [[nodiscard]] bool claims(const Node&) const override { return false; }
  [[nodiscard]] LayoutWish layouts(const Node&, StepForm) const override { return {}; }
  [[nodiscard]] bool accepts(const Node&, const Layout& layout) const override {
    return layout.is_plain();
  }
  [[nodiscard]] Support can_fuse(std::span<const Node* const>, const Node&,
                                 StepForm) const override {
    return Support::no("the reference runs op by op");
  }
  [[nodiscard]] std::shared_ptr<Device> device() const override { return device_; }
  [[nodiscard]] const KernelTable& kernels() const override { return table_; }
  [[nodiscard]] int threads() const noexcept override { return 1; }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> facts() const override {
    return {{"kernels", "the ops' reference kernels"}};
  }

 private:
  std::shared_ptr<Device> device_;
  KernelTable table_;
};

}  // namespace

std::shared_ptr<Backend> make_reference_backend(const BackendOptions&) {
  return std::make_shared<ReferenceBackend>();
}

}  // namespace ingot
