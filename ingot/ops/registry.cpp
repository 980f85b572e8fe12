#include "ingot/ops/registry.h"

#include <fmt/core.h>

#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "ingot/ir/core_ops.h"
#include "ingot/ops/op_list.h"

namespace ingot {
namespace {

struct Registry {
  std::vector<const OpDef*> ops;
  std::unordered_map<std::string_view, const OpDef*> by_name;
  std::deque<OpDef> user_ops;
  std::deque<std::string> user_names;

  Registry() {
    for (const OpDef* op : core_ops()) add(op);
#define INGOT_OP(name) add(&name##_op());
#define INGOT_OP_FAMILY(name) \
  for (const OpDef* op : name##_ops()) add(op);
#include "ingot/ops/all_ops.inc"
#undef INGOT_OP
#undef INGOT_OP_FAMILY
  }

  void add(const OpDef* op) {
    ops.push_back(op);
    by_name.emplace(op->name, op);
  }
};

Registry& registry() {
  static Registry instance;
  return instance;
}

}  // namespace

std::span<const OpDef* const> all_ops() { return registry().ops; }

const OpDef* find_op(std::string_view name) {
  const auto it = registry().by_name.find(name);
  return it == registry().by_name.end() ? nullptr : it->second;
}

void register_op(OpDef op) {
  if (op.name.find('.') == std::string_view::npos) {
    throw user_error(
        ErrorCode::invalid_argument,
        fmt::format("register_op \"{}\": name must have a namespace, got none", op.name))
        .help(fmt::format("call it \"mylib.{}\"", op.name));
  }
  if (find_op(op.name) != nullptr) {
    throw user_error(
        ErrorCode::invalid_argument,
        fmt::format("register_op \"{}\": name must be new, got one already registered", op.name));
  }
  if (op.infer == nullptr) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("register_op \"{}\": record must have infer, got none", op.name));
  }
  Registry& r = registry();
  op.name = r.user_names.emplace_back(op.name);
  r.add(&r.user_ops.emplace_back(std::move(op)));
}

}  // namespace ingot
