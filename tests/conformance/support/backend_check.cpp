#include <gtest/gtest.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <map>

#include "ingot/engine/compile.h"
#include "ingot/runtime/backend.h"
#include "tests/conformance/support/checks.h"
#include "tests/support/guarded_memory.h"
#include "tests/support/source_dir.h"

namespace ingot::conformance {
namespace {

/// "backend op/case" -> reason, from refusals.txt.
const std::map<std::string, std::string>& refusals() {
  static const auto list = [] {
    std::map<std::string, std::string> entries;
    std::ifstream file(testing_support::source_dir() / "tests/conformance/refusals.txt");
    EXPECT_TRUE(file.is_open()) << "tests/conformance/refusals.txt must exist";
    for (std::string line; std::getline(file, line);) {
      if (line.empty() || line[0] == '#') continue;
      const std::size_t colon = line.find(": ");
      EXPECT_NE(colon, std::string::npos) << "a line is `backend op/case: reason`, got " << line;
      if (colon == std::string::npos) continue;
      EXPECT_TRUE(entries.emplace(line.substr(0, colon), line.substr(colon + 2)).second)
          << "listed twice: " << line;
    }
    return entries;
  }();
  return list;
}

std::shared_ptr<Backend> backend_with(const std::string& name, int threads) {
  static std::map<std::pair<std::string, int>, std::shared_ptr<Backend>> cache;
  std::shared_ptr<Backend>& backend = cache[{name, threads}];
  if (backend == nullptr) backend = make_backend(name, {.threads = threads});
  return backend;
}

class Run {
 public:
  Run(const Graph& graph, const std::string& backend, int threads)
      : store_(backend_with(backend, threads)), executable_(compile(graph, store_)) {}

  HostTensors operator()(const Graph& graph, const HostTensors& given) {
    std::vector<Feed> feeds;
    std::deque<GuardedMemory> memory;
    for (const auto& [name, tensor] : given) {
      const std::size_t bytes = tensor.bytes().size();
      std::ranges::copy(tensor.bytes(), memory.emplace_back(bytes).data());
      feeds.push_back({name, memory.back().data(), bytes, tensor.type()});
    }
    executable_.run(feeds);
    HostTensors results;
    for (const Fetch& fetch : graph.fetches()) {
      results.emplace(fetch.name, executable_.fetched(fetch.name));
    }
    return results;
  }

 private:
  VariableStore store_;
  Executable executable_;
};

void expect_close(const HostTensor& got, const HostTensor& want, const Tolerance& tolerance) {
  ASSERT_EQ(got.type(), want.type());
  for (std::int64_t i = 0; i < want.type().numel(); ++i) {
    if (!is_float(want.type().dtype)) {
      ASSERT_EQ(got.view().get_int(i), want.view().get_int(i)) << "element " << i;
      continue;
    }
    const double a = got.view().get(i);
    const double b = want.view().get(i);
    const bool same = a == b || (std::isnan(a) && std::isnan(b));
    ASSERT_TRUE(same || std::fabs(a - b) <= tolerance.absolute + tolerance.relative * std::fabs(b))
        << "element " << i << " of " << want.type().to_string() << ": got " << a << ", want " << b
        << ", tolerance " << tolerance.absolute << " + " << tolerance.relative << " relative";
  }
}

void compare(const Case& item, const Graph& graph, const std::string& backend) {
  const HostTensors feeds = item.feeds(graph);
  const Node& node = op_node(graph);
  const HostTensors want = reference(graph, feeds).fetches;
  Run one(graph, backend, 1);
  Run two(graph, backend, 2);
  const HostTensors got = one(graph, feeds);
  const auto length = node.op().reduction_length != nullptr ? node.op().reduction_length(node) : 1;
  for (std::size_t k = 0; k < node.outputs().size(); ++k) {
    SCOPED_TRACE("output " + std::to_string(k));
    const std::string name = output_name(k);
    expect_close(got.at(name), want.at(name),
                 node_tolerance(node, node.output_type(k).dtype, length));
  }
  EXPECT_EQ(one(graph, feeds), got) << "a second run differs";
  EXPECT_EQ(two(graph, feeds), got) << "two threads differ from one";
}

/// What data breaks surfaces from the run as an Error that says so.
void expect_data_error(const Case& item, const Graph& graph, const std::string& backend) {
  const std::vector<int> rules = rules_broken_by_data(item);
  if (rules.empty()) return;
  for (std::size_t i = 0; i < item.item().inputs.size(); ++i) {
    const CaseInput& input = item.item().inputs[i];
    if (is_float(input.type.dtype)) continue;
    HostTensors feeds = item.feeds(graph);
    feeds.at(input_name(i)).view().set_int(0, static_cast<std::int64_t>(input.high) + 1);
    const StepError latched = evaluate(graph, feeds).error;
    if (latched.node < 0) continue;
    Run run(graph, backend, 2);
    try {
      run(graph, feeds);
      ADD_FAILURE() << "no error for a value out of range";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_data) << error.what();
      const auto& rule = item.op().constraints.at(static_cast<std::size_t>(latched.rule));
      EXPECT_NE(error.message().find(rule.text), std::string::npos) << error.what();
    }
  }
}

/// "backend op/case" -> what the backend said, in this run.
std::map<std::string, std::string>& refused() {
  static std::map<std::string, std::string> list;
  return list;
}

}  // namespace

void check_backend(const Case& item, const std::string& backend) {
  const std::string key = backend + " " + item.name();
  const auto listed = refusals().find(key);
  const auto graph = item.graph();
  try {
    compare(item, *graph, backend);
    expect_data_error(item, *graph, backend);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unsupported) throw;
    refused()[key] = error.message();
    if (rewrites_refusals()) return;
    EXPECT_TRUE(listed != refusals().end())
        << "a refusal that tests/conformance/refusals.txt does not list:\n"
        << key << ": " << error.what();
    return;
  }
  EXPECT_TRUE(listed == refusals().end() || rewrites_refusals())
      << "listed in tests/conformance/refusals.txt, but it works: " << key;
}

bool rewrites_refusals() { return std::getenv("CONFORMANCE_WRITE_REFUSALS") != nullptr; }

void write_refusals() {
  std::ofstream file(testing_support::source_dir() / "tests/conformance/refusals.txt");
  file << "# Cases that a backend refuses, one a line: `backend op/case: reason`.\n"
          "# The suite fails for a refusal that is not here, and for a line that is no longer "
          "true;\n"
          "# CONFORMANCE_WRITE_REFUSALS=1 test_conformance writes the file anew.\n";
  for (const auto& [key, reason] : refused()) file << key << ": " << reason << "\n";
}

void check_refusal_list() {
  if (rewrites_refusals()) return;
  std::vector<std::string> known;
  for (const OpDef* op : tested_ops()) {
    for (const Case& item : all_cases(*op)) {
      for (const std::string& backend : backend_names()) {
        known.push_back(backend + " " + item.name());
      }
    }
  }
  for (const auto& [key, reason] : refusals()) {
    EXPECT_NE(std::find(known.begin(), known.end(), key), known.end()) << "no such case: " << key;
    EXPECT_FALSE(reason.empty()) << key;
  }
}

std::vector<std::string> usable_backends() {
  std::vector<std::string> usable;
  for (const std::string& name : backend_names()) {
    try {
      backend_with(name, 1);
      usable.push_back(name);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::unsupported) throw;
      fmt::print("conformance: backend {} is left out: {}\n", name, error.message());
    }
  }
  return usable;
}

}  // namespace ingot::conformance
