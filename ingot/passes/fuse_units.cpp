#include "ingot/passes/fuse_units.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

#include "ingot/ir/op_def.h"

namespace ingot {
namespace {

constexpr double kBefore = -1.0;  // sources are there from the start
constexpr double kAfter = std::numeric_limits<double>::infinity();
// Merges look at every user of a unit; what very many read is left alone to keep that linear.
constexpr std::size_t kMaxUsers = 256;

void insert_sorted(std::vector<int>& ids, int id) {
  const auto at = std::lower_bound(ids.begin(), ids.end(), id);
  if (at == ids.end() || *at != id) ids.insert(at, id);
}

}  // namespace

FusionUnits::FusionUnits(const Graph& graph)
    : graph_(graph),
      units_(graph.size()),
      unit_of_(graph.size()),
      inputs_(graph.size()),
      users_(graph.size()),
      fetched_(graph.size()),
      dead_(graph.size(), false) {
  std::iota(unit_of_.begin(), unit_of_.end(), 0);
  for (std::size_t id = 0; id < graph.size(); ++id) {
    const Node& node = *graph.nodes()[id];
    // What variables become counts at the end of the step, wherever the Node stands.
    const std::size_t place = node.op().traits.side_effect ? graph.size() + id : id;
    units_[id] = {{node.id()}, {}, node.op().traits.source ? kBefore : static_cast<double>(place)};
    inputs_[id].assign(node.inputs().begin(), node.inputs().end());
    fetched_[id].assign(node.outputs().size(), false);
    for (const Value& input : node.inputs()) {
      std::vector<int>& users = users_[static_cast<std::size_t>(input.node()->id())];
      if (users.empty() || users.back() != node.id()) users.push_back(node.id());
    }
  }
  for (const Fetch& fetch : graph.fetches()) {
    fetched_[static_cast<std::size_t>(fetch.value.node()->id())]
            [static_cast<std::size_t>(fetch.value.index())] = true;
  }
}

std::vector<int> FusionUnits::all_of(int u) const {
  std::vector<int> all;
  std::ranges::set_union(unit(u).members, unit(u).copies, std::back_inserter(all));
  return all;
}

bool FusionUnits::is_user(int id, const Value& value) const {
  return std::ranges::find(inputs(id), value) != inputs(id).end();
}

bool FusionUnits::is_fetched(const Value& value) const {
  return fetched_[static_cast<std::size_t>(value.node()->id())]
                 [static_cast<std::size_t>(value.index())];
}

bool FusionUnits::escapes(const Value& value) const {
  const int id = value.node()->id();
  return is_fetched(value) || std::ranges::any_of(users(id), [&](int user) {
           return unit_of(user) != unit_of(id) && is_user(user, value);
         });
}

/// Leaves of the window what the unit's neighbours outside both units allow.
void FusionUnits::narrow(int u, int other, Window& window) const {
  for (const int id : unit(u).members) {
    for (const Value& input : inputs(id)) {
      const int from = unit_of(input.node()->id());
      if (from != u && from != other) window.after = std::max(window.after, unit(from).position);
    }
    if (users(id).size() > kMaxUsers) window.before = kBefore;
    for (const int user : users(id)) {
      const int to = unit_of(user);
      if (to != u && to != other) window.before = std::min(window.before, unit(to).position);
      if (window.before <= window.after) return;
    }
  }
}

bool FusionUnits::merge(int into, int other) {
  Window window{kBefore, kAfter};
  narrow(into, other, window);
  if (window.after < window.before) narrow(other, into, window);
  if (window.after >= window.before) return false;
  FusionUnit& target = units_[static_cast<std::size_t>(into)];
  FusionUnit& source = units_[static_cast<std::size_t>(other)];
  const auto fits = [&](double p) { return window.after < p && p < window.before; };
  if (!fits(target.position)) {
    target.position = fits(source.position)     ? source.position
                      : window.before == kAfter ? window.after + 0.5
                                                : (window.after + window.before) / 2;
  }
  for (const int id : source.members) unit_of_[static_cast<std::size_t>(id)] = into;
  std::vector<int> members;
  std::ranges::merge(target.members, source.members, std::back_inserter(members));
  std::vector<int> copies;
  std::ranges::set_union(target.copies, source.copies, std::back_inserter(copies));
  target.members = std::move(members);
  target.copies = std::move(copies);
  source.members.clear();
  source.copies.clear();
  return true;
}

void FusionUnits::remove(int id) {
  FusionUnit& from = units_[static_cast<std::size_t>(unit_of(id))];
  double before = kAfter;
  for (const int user : users(id)) before = std::min(before, unit(unit_of(user)).position);
  std::erase(from.members, id);
  // Its own unit's number may be in use by others when it was merged into.
  const int fresh = static_cast<int>(units_.size());
  const double position = before == kAfter ? from.position + 0.5 : (from.position + before) / 2;
  units_.push_back({{id}, {}, position});
  unit_of_[static_cast<std::size_t>(id)] = fresh;
}

void FusionUnits::hoist(int u) {
  FusionUnit& own = units_[static_cast<std::size_t>(u)];
  double after = kBefore;
  for (const int id : own.members) {
    for (const Value& input : inputs(id)) {
      const int from = unit_of(input.node()->id());
      if (from != u) after = std::max(after, unit(from).position);
    }
  }
  constexpr double kShare = 1.0 / 1024;
  own.position = after + (own.position - after) * kShare;
}

void FusionUnits::set_copies(int id, std::span<const int> copies, std::vector<Value> reads) {
  const std::vector<Value> old = std::move(inputs_[static_cast<std::size_t>(id)]);
  inputs_[static_cast<std::size_t>(id)] = std::move(reads);
  FusionUnit& own = units_[static_cast<std::size_t>(unit_of(id))];
  for (const int copy : copies) insert_sorted(own.copies, copy);
  for (const Value& value : inputs(id)) {
    insert_sorted(users_[static_cast<std::size_t>(value.node()->id())], id);
  }
  for (const Value& input : old) {
    const int from = input.node()->id();
    const bool still = std::ranges::any_of(
        inputs(id), [&](const Value& value) { return value.node()->id() == from; });
    if (!still) forget_user(from, id);
  }
}

void FusionUnits::forget_user(int id, int user) {
  std::erase(users_[static_cast<std::size_t>(id)], user);
  drop_if_dead(id);
}

void FusionUnits::drop_if_dead(int id) {
  std::vector<int> pending{id};
  while (!pending.empty()) {
    const int at = pending.back();
    pending.pop_back();
    const auto slot = static_cast<std::size_t>(at);
    if (dead_[slot] || !users_[slot].empty() || node(at).op().traits.source ||
        std::ranges::find(fetched_[slot], true) != fetched_[slot].end()) {
      continue;
    }
    dead_[slot] = true;
    for (const Value& input : inputs_[slot]) {
      const int from = input.node()->id();
      std::erase(users_[static_cast<std::size_t>(from)], at);
      pending.push_back(from);
    }
  }
}

std::vector<int> FusionUnits::order() const {
  std::vector<int> result;
  for (int u = 0; u < count(); ++u) {
    const FusionUnit& one = unit(u);
    if (!one.members.empty() && !is_dead(one.members.front())) result.push_back(u);
  }
  std::ranges::sort(result, [&](int a, int b) {
    const FusionUnit& x = unit(a);
    const FusionUnit& y = unit(b);
    if (x.position != y.position) return x.position < y.position;
    return x.members.front() < y.members.front();
  });
  return result;
}

}  // namespace ingot
