// The references, composites and gradients against PyTorch.
#include <gtest/gtest.h>

#include "ingot/ops/operators.h"
#include "tests/goldens/support/goldens.h"

namespace ingot {
namespace {

using testing_support::check_forward_and_backward;
using testing_support::expect_close;
using testing_support::for_each_golden;
using testing_support::Golden;
using Values = std::vector<Value>;

constexpr const char* kFile = "ops.safetensors";

TEST(Goldens, Conv2d) {
  for_each_golden(kFile, "conv2d", [](const Golden& golden) {
    const auto o = golden.integers("options");
    const Conv2dOptions options{{o[0], o[1]}, {o[2], o[3], o[4], o[5]}, {o[6], o[7]}, o[8]};
    check_forward_and_backward(
        golden, {{"x", "dx"}, {"w", "dw"}}, {},
        [&](const Values& in, const Values&) { return ops::conv2d(in[0], in[1], options); });
  });
}

TEST(Goldens, MaxPool2d) {
  for_each_golden(kFile, "max_pool2d", [](const Golden& golden) {
    const auto o = golden.integers("options");
    const MaxPool2dOptions options{
        {o[0], o[1]}, {{o[2], o[3]}}, {o[4], o[5], o[6], o[7]}, {o[8], o[9]}};
    check_forward_and_backward(golden, {{"x", "dx"}}, {}, [&](const Values& in, const Values&) {
      return ops::max_pool2d(in[0], options);
    });
  });
}

TEST(Goldens, AvgPool2d) {
  for_each_golden(kFile, "avg_pool2d", [](const Golden& golden) {
    const auto o = golden.integers("options");
    const AvgPool2dOptions options{
        {o[0], o[1]}, {{o[2], o[3]}}, {o[4], o[5], o[6], o[7]}, o[8] != 0};
    check_forward_and_backward(golden, {{"x", "dx"}}, {}, [&](const Values& in, const Values&) {
      return ops::avg_pool2d(in[0], options);
    });
  });
  for_each_golden(kFile, "global_avg_pool2d", [](const Golden& golden) {
    check_forward_and_backward(golden, {{"x", "dx"}}, {}, [](const Values& in, const Values&) {
      return ops::global_avg_pool2d(in[0]);
    });
  });
}

TEST(Goldens, BatchNorm) {
  for_each_golden(kFile, "batch_norm", [](const Golden& golden) {
    const double eps = golden.reals("eps")[0];
    check_forward_and_backward(golden, {{"x", "dx"}, {"gamma", "dgamma"}, {"beta", "dbeta"}}, {},
                               [&](const Values& in, const Values&) {
                                 return ops::batch_norm(in[0], in[1], in[2], eps).y;
                               });
  });
}

TEST(Goldens, BatchNormStatistics) {
  for_each_golden(kFile, "batch_norm", [](const Golden& golden) {
    const double eps = golden.reals("eps")[0];
    const double momentum = golden.reals("momentum")[0];
    Graph graph;
    HostTensors feeds;
    const auto feed = [&](const std::string& what) {
      return graph.placeholder(what, feeds.emplace(what, golden.tensor(what)).first->second.type());
    };
    const Value x = feed("x");
    const Value gamma = feed("gamma");
    const Value beta = feed("beta");
    const Value mean = feed("running_mean");
    const Value var = feed("running_var");
    const BatchNorm norm = ops::batch_norm(x, gamma, beta, eps);
    const double count = static_cast<double>(x.shape().numel() / x.shape()[1]);
    graph.fetch("new_mean", mean * (1 - momentum) + norm.mean * momentum);
    graph.fetch("new_var", var * (1 - momentum) + norm.var * (momentum * count / (count - 1)));
    graph.fetch("inference", ops::batch_norm_inference(x, gamma, beta, mean, var, eps));
    for (const auto& [name, value] : evaluate(graph, feeds).fetches) {
      expect_close(value, golden.tensor(name), name);
    }
  });
}

TEST(Goldens, CrossEntropy) {
  for_each_golden(kFile, "cross_entropy", [](const Golden& golden) {
    const double smoothing = golden.reals("label_smoothing")[0];
    check_forward_and_backward(golden, {{"x", "dx"}}, {"labels"},
                               [&](const Values& in, const Values& rest) {
                                 return ops::cross_entropy(in[0], rest[0], smoothing);
                               });
  });
  for_each_golden(kFile, "cross_entropy_probs", [](const Golden& golden) {
    check_forward_and_backward(golden, {{"x", "dx"}}, {"probs"},
                               [](const Values& in, const Values& rest) {
                                 return ops::cross_entropy_probs(in[0], rest[0]);
                               });
  });
}

TEST(Goldens, Functions) {
  for_each_golden(kFile, "function", [](const Golden& golden) {
    const std::string name = golden.prefix.substr(golden.prefix.find('.') + 1);
    check_forward_and_backward(golden, {{"x", "dx"}}, {},
                               [&](const Values& in, const Values&) -> Value {
                                 if (name == "softmax") return ops::softmax(in[0]);
                                 if (name == "log_softmax") return ops::log_softmax(in[0]);
                                 return ops::elementwise(name, {in[0]});
                               });
  });
}

}  // namespace
}  // namespace ingot
