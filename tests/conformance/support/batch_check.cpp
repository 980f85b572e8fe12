#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ingot/ir/batch.h"
#include "ingot/ir/body.h"
#include "ingot/ir/core_ops.h"
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

/// Items `begin` ... `begin + items - 1` along an axis; all of it when the axis is -1.
HostTensor items_of(const HostTensor& whole, int axis, std::int64_t begin, std::int64_t items) {
  if (axis < 0) return whole;
  TensorType type = whole.type();
  type.shape[axis] = items;
  HostTensor part(type);
  const auto strides = whole.type().shape.strides();
  for_each_index(type.shape, [&](std::int64_t flat, const auto& index) {
    std::int64_t from = begin * strides[static_cast<std::size_t>(axis)];
    for (int i = 0; i < type.shape.rank(); ++i) {
      from += index[static_cast<std::size_t>(i)] * strides[static_cast<std::size_t>(i)];
    }
    copy_element(whole.view(), from, part.view(), flat);
  });
  return part;
}

/// The Node alone in a Graph, for a batch of `items`: rebatched as a Region's body is.
Graph slice_graph(const Node& node, const std::vector<int>& axes, std::int64_t items) {
  Graph body;
  std::vector<Value> arguments;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    arguments.push_back(body.argument(static_cast<int>(i), node.input_type(i)));
  }
  Node* copy = body.clone(node, arguments);
  for (std::size_t k = 0; k < node.outputs().size(); ++k) {
    body.fetch(output_name(k), copy->output(static_cast<int>(k)));
  }
  const auto slice = rebatch(body, axes, items);
  Graph graph;
  std::vector<Value> inputs;
  for (const Node* argument : slice->nodes_of(argument_op())) {
    inputs.push_back(graph.placeholder(input_name(inputs.size()), argument->output_type()));
  }
  const std::vector<Value> results = inline_graph(graph, *slice, inputs, node.origin(), "slice");
  for (std::size_t k = 0; k < results.size(); ++k) graph.fetch(output_name(k), results[k]);
  return graph;
}

/// What a Region of batch slices rests on: the slices' results, side by side or added up, are the
/// whole batch's.
void expect_slices_agree(const Node& node, const std::vector<int>& axes,
                         const std::vector<BatchResult>& rule, const HostTensors& feeds,
                         const HostTensors& whole, std::int64_t size, std::int64_t items) {
  SCOPED_TRACE("slices of " + std::to_string(items));
  const Graph graph = slice_graph(node, axes, items);
  std::vector<std::vector<double>> sums(rule.size());
  for (std::int64_t begin = 0; begin < size; begin += items) {
    HostTensors part;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      part.emplace(input_name(i), items_of(feeds.at(input_name(i)), axes[i], begin, items));
    }
    const auto got = evaluate(graph, part).fetches;
    for (std::size_t k = 0; k < rule.size(); ++k) {
      const HostTensor& value = got.at(output_name(k));
      if (rule[k].kind == BatchKind::kept) {
        ASSERT_EQ(value, items_of(whole.at(output_name(k)), rule[k].axis, begin, items))
            << "output " << k << ", items from " << begin << " on";
        continue;
      }
      ASSERT_EQ(value.type(), whole.at(output_name(k)).type());
      sums[k].resize(static_cast<std::size_t>(value.type().numel()));
      for (std::size_t i = 0; i < sums[k].size(); ++i) {
        sums[k][i] += value.view().get(static_cast<std::int64_t>(i));
      }
    }
  }
  for (std::size_t k = 0; k < rule.size(); ++k) {
    for (std::size_t i = 0; i < sums[k].size(); ++i) {
      const double want = whole.at(output_name(k)).view().get(static_cast<std::int64_t>(i));
      ASSERT_NEAR(sums[k][i], want, 1e-9 * (1 + std::fabs(want)))
          << "element " << i << " of output " << k << " is not the sum of the slices'";
    }
  }
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
    const bool separable = std::ranges::all_of(rule, [](const BatchResult& result) {
      return result.kind == BatchKind::kept || result.kind == BatchKind::reduced;
    });
    if (separable) {
      expect_slices_agree(node, axes, rule, feeds, base, size, 1);
      if (size > 2 && size % 2 == 0) {
        expect_slices_agree(node, axes, rule, feeds, base, size, size / 2);
      }
    }
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
