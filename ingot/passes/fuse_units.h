// Groups of Nodes that will run as one kernel, and the order in which the groups can run.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "ingot/ir/graph.h"

namespace ingot {

/// Nodes that run together. `copies` are computed again here: their originals belong elsewhere.
struct FusionUnit {
  std::vector<int> members;  ///< ids, ascending
  std::vector<int> copies;   ///< ids, ascending
  double position = 0;
};

/// Every Node begins as a unit of its own. Positions are kept a topological order of the units, so
/// that no merge can make a cycle.
class FusionUnits {
 public:
  explicit FusionUnits(const Graph& graph);

  [[nodiscard]] const Node& node(int id) const {
    return *graph_.nodes()[static_cast<std::size_t>(id)];
  }
  [[nodiscard]] int count() const noexcept { return static_cast<int>(units_.size()); }
  [[nodiscard]] int unit_of(int id) const { return unit_of_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] const FusionUnit& unit(int u) const { return units_[static_cast<std::size_t>(u)]; }
  /// Members and copies, ascending.
  [[nodiscard]] std::vector<int> all_of(int u) const;
  [[nodiscard]] bool is_alone(int id) const {
    const FusionUnit& own = unit(unit_of(id));
    return own.members.size() == 1 && own.copies.empty();
  }

  /// What the Node reads from outside its copies; see set_copies.
  [[nodiscard]] std::span<const Value> inputs(int id) const {
    return inputs_[static_cast<std::size_t>(id)];
  }
  /// Ids of the Nodes that read any output of the Node, ascending.
  [[nodiscard]] std::span<const int> users(int id) const {
    return users_[static_cast<std::size_t>(id)];
  }
  [[nodiscard]] bool is_user(int id, const Value& value) const;
  [[nodiscard]] bool is_fetched(const Value& value) const;
  /// Whether a Node of another unit, or a fetch, reads the Value.
  [[nodiscard]] bool escapes(const Value& value) const;
  /// Not read by anybody any more.
  [[nodiscard]] bool is_dead(int id) const { return dead_[static_cast<std::size_t>(id)]; }

  /// Joins two units, if they can run at one time: all inputs before, all users after.
  bool merge(int into, int other);
  /// Makes a member a unit of its own again. It must have no user in the unit.
  void remove(int id);
  /// Moves a unit to where its operands are there, so that who reads it may come earlier, too.
  void hoist(int u);
  /// Lets a Node's unit compute `copies` (ascending) itself; the Node then `reads` what they need
  /// instead of what they make. Drops Nodes that nobody reads any more.
  void set_copies(int id, std::span<const int> copies, std::vector<Value> reads);
  /// Units that run, in a topological order.
  [[nodiscard]] std::vector<int> order() const;

 private:
  struct Window {
    double after;
    double before;
  };
  void narrow(int u, int other, Window& window) const;
  void drop_if_dead(int id);
  void forget_user(int id, int user);

  const Graph& graph_;
  std::vector<FusionUnit> units_;
  std::vector<int> unit_of_;
  std::vector<std::vector<Value>> inputs_;
  std::vector<std::vector<int>> users_;
  std::vector<std::vector<bool>> fetched_;
  std::vector<bool> dead_;
};

}  // namespace ingot
