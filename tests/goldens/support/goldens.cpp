#include "tests/goldens/support/goldens.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ingot/autodiff/gradients.h"
#include "ingot/ops/operators.h"
#include "tests/support/source_dir.h"

namespace ingot::testing_support {

HostTensor Golden::tensor(const std::string& what) const {
  return file->tensor(prefix + "." + what);
}

std::vector<std::int64_t> Golden::integers(const std::string& what) const {
  const HostTensor values = tensor(what);
  const auto span = values.view().as<std::int64_t>();
  return {span.begin(), span.end()};
}

std::vector<double> Golden::reals(const std::string& what) const {
  return tensor(what).to_doubles();
}

void for_each_golden(const std::string& file, const std::string& kind,
                     const std::function<void(const Golden&)>& fn) {
  const io::SafetensorsFile goldens(source_dir() / "tests" / "goldens" / file);
  std::vector<std::string> prefixes;
  for (const io::SafetensorsEntry& entry : goldens.entries()) {
    const std::string prefix = entry.name.substr(0, entry.name.rfind('.'));
    if (!prefix.starts_with(kind + ".")) continue;
    if (std::find(prefixes.begin(), prefixes.end(), prefix) == prefixes.end()) {
      prefixes.push_back(prefix);
    }
  }
  ASSERT_FALSE(prefixes.empty()) << kind;
  for (const std::string& prefix : prefixes) {
    SCOPED_TRACE(prefix);
    fn({&goldens, prefix});
  }
}

void expect_close(const HostTensor& got, const HostTensor& want, const std::string& what,
                  double bound) {
  ASSERT_EQ(got.type(), want.type()) << what;
  const std::vector<double> a = got.to_doubles();
  const std::vector<double> b = want.to_doubles();
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], b[i], bound * (1 + std::fabs(b[i]))) << what << " at " << i;
  }
}

void check_forward_and_backward(
    const Golden& golden, const std::vector<GoldenInput>& inputs,
    const std::vector<std::string>& others,
    const std::function<Value(const std::vector<Value>& inputs, const std::vector<Value>& others)>&
        build) {
  Graph graph;
  HostTensors feeds;
  const auto feed = [&](const std::string& what) {
    return graph.placeholder(what, feeds.emplace(what, golden.tensor(what)).first->second.type());
  };
  std::vector<Value> in;
  std::vector<Value> rest;
  for (const auto& [input, gradient] : inputs) in.push_back(feed(input));
  for (const std::string& other : others) rest.push_back(feed(other));
  const Value y = build(in, rest);
  const Value loss = ops::sum(y * feed("g"), {});
  const std::vector<Value> grads = gradients(loss, in);
  graph.fetch("y", y);
  for (std::size_t i = 0; i < inputs.size(); ++i) graph.fetch(inputs[i].second, grads[i]);
  const Evaluation result = evaluate(graph, feeds);
  for (const auto& [name, value] : result.fetches) expect_close(value, golden.tensor(name), name);
}

}  // namespace ingot::testing_support
