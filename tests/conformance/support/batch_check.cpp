#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ingot/ops/common.h"
#include "tests/conformance/support/checks.h"

namespace ingot::conformance {
namespace {

/// Every assignment of -1, 0 or 1 to the operands in which the batch axes have one size above 1.
std::vector<std::vector<int>> assignments(const Node& node) {
  std::vector<std::vector<int>> all{{}};
  for (const Value& input : node.inputs()) {
    std::vector<std::vector<int>> longer;
    for (const std::vector<int>& start : all) {
      for (int axis = -1; axis < std::min(2, input.shape().rank()); ++axis) {
        // Many operands: all alike or one alone says enough.
        if (node.inputs().size() > 4 && !start.empty() && axis > 0) continue;
        longer.push_back(start);
        longer.back().push_back(axis);
      }
    }
    all = std::move(longer);
    if (all.size() > 256) all.resize(256);
  }
  std::vector<std::vector<int>> usable;
  for (std::vector<int>& axes : all) {
    std::int64_t size = -1;
    bool fits = true;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (axes[i] < 0) continue;
      const std::int64_t dim = node.input_type(i).shape[axes[i]];
      fits &= dim > 1 && (size < 0 || dim == size);
      size = dim;
    }
    if (fits && size > 1) usable.push_back(std::move(axes));
  }
  return usable;
}

/// `feeds` with item `b` along the batch axes taken from `others`.
HostTensors with_item(HostTensors feeds, const HostTensors& others, const std::vector<int>& axes,
                      std::int64_t b) {
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] < 0) continue;
    const HostView to = feeds.at(input_name(i)).view();
    const HostView from = others.at(input_name(i)).view();
    for_each_index(to.type.shape, [&](std::int64_t flat, const auto& index) {
      if (index[static_cast<std::size_t>(axes[i])] != b) return;
      if (is_float(to.type.dtype)) {
        to.set(flat, from.get(flat));
      } else {
        to.set_int(flat, from.get_int(flat));
      }
    });
  }
  return feeds;
}

void expect_kept(const HostTensor& before, const HostTensor& after, int axis, std::int64_t b,
                 std::int64_t size) {
  ASSERT_TRUE(axis >= 0 && axis < before.type().shape.rank());
  ASSERT_EQ(before.type().shape[axis], size) << "the kept axis is not the batch";
  for_each_index(before.type().shape, [&](std::int64_t flat, const auto& index) {
    if (index[static_cast<std::size_t>(axis)] == b) return;
    ASSERT_EQ(before.view().get(flat), after.view().get(flat))
        << "item " << b << " of the inputs changed element " << flat;
  });
}

}  // namespace

void check_batch(const Case& item) {
  const auto graph = item.graph(DType::f64);
  const Node& node = op_node(*graph);
  const HostTensors feeds = item.feeds(*graph);
  const HostTensors others = item.feeds(*graph, 1);
  for (const std::vector<int>& axes : assignments(node)) {
    const std::vector<BatchResult> rule = node.op().batch(node, axes);
    ASSERT_EQ(rule.size(), node.outputs().size()) << "one result an output";
    const bool mixed = std::all_of(rule.begin(), rule.end(), [](const BatchResult& result) {
      return result.kind == BatchKind::mixed;
    });
    if (mixed) continue;
    SCOPED_TRACE("batch axes " + testing::PrintToString(axes));
    std::int64_t size = 0;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (axes[i] >= 0) size = node.input_type(i).shape[axes[i]];
    }
    const std::int64_t last = size - 1;
    const HostTensors first_changed = with_item(feeds, others, axes, 0);
    const auto base = evaluate(*graph, feeds).fetches;
    const auto first = evaluate(*graph, first_changed).fetches;
    const auto second = evaluate(*graph, with_item(feeds, others, axes, last)).fetches;
    const auto both = evaluate(*graph, with_item(first_changed, others, axes, last)).fetches;
    for (std::size_t k = 0; k < rule.size(); ++k) {
      SCOPED_TRACE("output " + std::to_string(k));
      const std::string name = output_name(k);
      switch (rule[k].kind) {
        case BatchKind::mixed: break;
        case BatchKind::none: EXPECT_EQ(base.at(name), both.at(name)); break;
        case BatchKind::kept:
          expect_kept(base.at(name), first.at(name), rule[k].axis, 0, size);
          expect_kept(base.at(name), second.at(name), rule[k].axis, last, size);
          break;
        case BatchKind::reduced:
          for (std::int64_t i = 0; i < base.at(name).type().numel(); ++i) {
            const double a = base.at(name).view().get(i);
            const double b = first.at(name).view().get(i);
            const double c = second.at(name).view().get(i);
            const double d = both.at(name).view().get(i);
            ASSERT_NEAR(d - b, c - a, 1e-9 * (1 + std::fabs(a) + std::fabs(d)))
                << "element " << i << " is not a sum over the items";
          }
      }
    }
  }
}

}  // namespace ingot::conformance
