// bisect() on a saved graph: text goes out, comes back, and the first Node that differs from the
// reference, or fails, is named.
#include "ingot/engine/bisect.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ingot/ingot.h"
#include "ingot/ir/parser.h"
#include "ingot/ir/printer.h"
#include "ingot/ops/registry.h"
#include "ingot/train/training_graph.h"

namespace ingot {
namespace {

/// Runs another Kernel and spoils one element of its result.
class SpoiledKernel final : public Kernel {
 public:
  SpoiledKernel(std::unique_ptr<Kernel> inner, int output)
      : inner_(std::move(inner)), output_(output) {}
  void run(const KernelContext& context) noexcept override {
    inner_->run(context);
    context.at<float>(output_)[2] += 0.25f;
  }
  [[nodiscard]] std::string_view name() const noexcept override { return "spoiled"; }

 private:
  std::unique_ptr<Kernel> inner_;
  int output_;
};

enum class Fault { none, wrong_value, no_kernel };

/// The reference with a fault in one op.
class FaultyBackend final : public Backend {
 public:
  FaultyBackend(std::string_view op, Fault fault) : inner_(make_backend("reference")) {
    for (const OpDef* known : all_ops()) {
      for (const KernelCandidate& candidate : inner_->kernels().candidates(known->name)) {
        table_.register_kernel(known->name,
                               known->name == op ? faulty(candidate, fault) : candidate);
      }
    }
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "faulty"; }
  [[nodiscard]] bool claims(const Node&) const override { return false; }
  [[nodiscard]] LayoutWish layouts(const Node& node, StepForm form) const override {
    return inner_->layouts(node, form);
  }
  [[nodiscard]] bool accepts(const Node& node, const Layout& layout) const override {
    return inner_->accepts(node, layout);
  }
  [[nodiscard]] Support can_fuse(std::span<const Node* const> nodes, const Node& node,
                                 StepForm form) const override {
    return inner_->can_fuse(nodes, node, form);
  }
  [[nodiscard]] std::shared_ptr<Device> device() const override { return inner_->device(); }
  [[nodiscard]] const KernelTable& kernels() const override { return table_; }
  [[nodiscard]] int threads() const noexcept override { return 1; }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> facts() const override {
    return {};
  }

 private:
  static KernelCandidate faulty(KernelCandidate candidate, Fault fault) {
    if (fault == Fault::no_kernel) {
      candidate.supports = [](const Node&, const Backend&) {
        return Support::no("left out on purpose");
      };
    } else if (fault == Fault::wrong_value) {
      candidate.create = [create = candidate.create](const KernelProblem& problem,
                                                     const Backend& backend) {
        return std::make_unique<SpoiledKernel>(create(problem, backend), problem.outputs[0]);
      };
    }
    return candidate;
  }

  std::shared_ptr<Backend> inner_;
  KernelTable table_;
};

/// As it comes back from a file.
std::unique_ptr<Graph> saved_graph() {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {3, 4}});
  const Value w = graph.variable("w", {DType::f32, {4, 2}}, Initializer::uniform(-1, 1));
  graph.fetch("y", ops::exp(ops::tanh(ops::matmul(x, w))) * 2.0);
  return parse_graph(print_graph(graph), all_ops());
}

TEST(Bisect, ASavedTrainingStepAgreesOnTheCpu) {
  const auto model = nn::make_model("seed-cnn", {3, 8, 8, 2});
  const Graph step = train::build_train_graph(*model, {3, 8, 8}, 4, {});
  const auto graph = parse_graph(print_graph(step), all_ops());
  const BisectReport report = bisect(*graph, make_backend("cpu"), {});
  EXPECT_TRUE(report.ok) << report.reason;
  EXPECT_GT(report.checked, 20);
}

TEST(Bisect, NamesTheFirstNodeThatDiffers) {
  const auto backend = std::make_shared<FaultyBackend>("tanh", Fault::wrong_value);
  const BisectReport report = bisect(*saved_graph(), backend, {});
  EXPECT_FALSE(report.ok);
  EXPECT_EQ(report.node, "tanh_0");
  EXPECT_EQ(report.checked, 1);
  EXPECT_TRUE(
      report.reason.starts_with("tanh \"tanh_0\": result must agree with the reference, got "))
      << report.reason;
  EXPECT_TRUE(report.reason.ends_with(" at element 2 of f32[3,2]")) << report.reason;
}

TEST(Bisect, NamesTheFirstNodeThatFails) {
  const auto backend = std::make_shared<FaultyBackend>("exp", Fault::no_kernel);
  const BisectReport report = bisect(*saved_graph(), backend, {});
  EXPECT_FALSE(report.ok);
  EXPECT_EQ(report.checked, 2);
  EXPECT_NE(report.reason.find("device \"faulty\" must have a kernel, got none (reference: left "
                               "out on purpose)"),
            std::string::npos)
      << report.reason;
}

TEST(Bisect, AFaultlessBackendAgrees) {
  const auto backend = std::make_shared<FaultyBackend>("tanh", Fault::none);
  const BisectReport report = bisect(*saved_graph(), backend, {});
  EXPECT_TRUE(report.ok) << report.reason;
  EXPECT_EQ(report.checked, 4);
}

}  // namespace
}  // namespace ingot
