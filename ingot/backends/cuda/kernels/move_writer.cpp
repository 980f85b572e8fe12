#include "ingot/backends/cuda/kernels/move_writer.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"

namespace ingot::cuda {
namespace {

bool varies(std::string_view text) { return text.find(kLane) != std::string_view::npos; }

std::string fresh(const Ahead& ahead, std::string_view prefix) {
  return fmt::format("{}{}", prefix, ahead.known.size());
}

}  // namespace

std::string latch_text(const Region& region, const Node& node, std::string_view rule,
                       const std::string& value, const std::string& index) {
  const auto& constraints = node.op().constraints;
  const auto it = std::ranges::find(constraints, rule, &Constraint::id);
  // The latch takes the Node of the lowered Graph; @N@ becomes its id.
  return fmt::format("latch(P.control, @N@, {}, {}, {}, {})", it - constraints.begin(), value,
                     index, region.is_body ? node.id() : -1);
}

std::string write_moved(const Region& region, const Value& value, const Place& place,
                        const std::string& to) {
  Ahead ahead;
  std::string body;
  const std::string element = MoveWriter(body, region, ahead).value(value, place);
  return fmt::format("{}{}{}{} = {};\n", ahead.declarations, ahead.code, body, to, element);
}

std::string MoveWriter::value(const Value& value, const Place& place) {
  ElementWriter writer(*code_, region_, place);
  std::set<int> bound;
  bind_moves(value, writer, bound);
  return writer.value(value);
}

void MoveWriter::bind_moves(const Value& value, ElementWriter& writer, std::set<int>& bound) {
  if (region_.operands.contains(value) || !bound.insert(value.node()->id()).second) return;
  const Node& node = *value.node();
  const Mover* mover = mover_of(node.op());
  if (mover == nullptr) {
    for (const Value& input : node.inputs()) bind_moves(input, writer, bound);
    return;
  }
  const Moved moved = mover->source(node, writer.place().coordinates, *this);
  const std::string name = fmt::format("m{}", node.id());
  const bool always = moved.inside.empty();
  *code_ += fmt::format("{} {}{};\n", compute_type(value.dtype()), name,
                        always ? "" : " = " + moved.fill);
  *code_ += always ? "{\n" : fmt::format("if ({}) {{\n", moved.inside);
  const std::vector<Guard> outside = guards_;
  for (Guard& guard : guards_) guard.untouched = std::min(guard.untouched, moved.untouched);
  if (!always) guards_.push_back({moved.inside, moved.untouched});
  const std::string from =
      this->value(node.input(0), {node.input_type(0).shape, moved.coordinates, {}});
  guards_ = outside;
  *code_ += fmt::format("{} = {};\n}}\n", name, from);
  writer.bind(value, name);
}

/// What must hold for the first `axes` coordinates to be in what is read.
std::string MoveWriter::guard_of(int axes) const {
  std::string text;
  for (const Guard& guard : guards_) {
    if (guard.untouched >= axes) continue;
    text += fmt::format("{}({})", text.empty() ? "" : " && ", guard.inside);
  }
  return text;
}

std::string MoveWriter::index(const Node& node, std::size_t operand, Coordinates at) {
  const std::string guard = guard_of(mover_of(node.op())->placed(node));
  const Value& value = node.input(operand);
  const bool lane = varies(guard) ||
                    std::ranges::any_of(at, [](const std::string& text) { return varies(text); });
  Ahead& ahead = lane ? elements_ : rows_;
  const std::string key =
      fmt::format("{}:{} {} if {}", value.node()->id(), value.index(), fmt::join(at, ","), guard);
  if (const auto it = ahead.known.find(key); it != ahead.known.end()) return it->second;

  std::string body;
  MoveWriter inner(body, region_, lane ? elements_ : rows_, rows_);
  if (!guard.empty()) inner.guards_.push_back({guard, 0});
  const std::string read = inner.value(value, {value.shape(), {at.begin(), at.end()}, {}});
  const std::string name = fresh(ahead, lane ? "lane_i" : "i");
  ahead.declarations += fmt::format("i64 {}{};\n", name, ahead.dimension);
  const std::string own = name + ahead.subscript;
  ahead.code += guard.empty() ? "{\n" : fmt::format("{} = 0;\nif ({}) {{\n", own, guard);
  ahead.code += body + fmt::format("{} = {};\n}}\n", own, read);
  return ahead.known[key] = own;
}

std::string MoveWriter::checked_index(const Node& node, std::size_t operand, Coordinates at,
                                      std::int64_t size, std::string_view rule) {
  const std::string given = index(node, operand, at);
  const bool lane = varies(given);
  Ahead& ahead = lane ? elements_ : rows_;
  const std::string key = fmt::format("{} of {} {}", given, node.id(), rule);
  if (const auto it = ahead.known.find(key); it != ahead.known.end()) return it->second;
  const std::string position = offset_text(at, node.input_type(operand).shape.strides());
  const std::string name = fresh(ahead, lane ? "lane_i" : "i");
  ahead.declarations += fmt::format("i64 {}{};\n", name, ahead.dimension);
  const std::string own = name + ahead.subscript;
  ahead.code +=
      fmt::format("{0} = {1};\nif ({0} < 0 || {0} >= {2}) {{\n{3};\n{0} = {0} < 0 ? 0 : {4};\n}}\n",
                  own, given, size, latch_text(region_, node, rule, given, position), size - 1);
  return ahead.known[key] = own;
}

}  // namespace ingot::cuda
