#include "ingot/ir/parser.h"

#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ir/text_cursor.h"

namespace ingot {
namespace {

constexpr int kMaxDepth = 8;  // of Regions in Regions

/// A type behind `->`, and its layout.
struct Declared {
  TensorType type;
  Layout layout;
  std::size_t at = 0;
};

class GraphParser {
 public:
  GraphParser(TextCursor& cursor, const std::unordered_map<std::string_view, const OpDef*>& ops,
              int depth)
      : cursor_(cursor), ops_(ops), depth_(depth) {}

  /// Everything up to the closing brace.
  std::unique_ptr<Graph> run() {
    cursor_.expect("{");
    while (!cursor_.accept("}")) {
      if (cursor_.accept("fetch")) {
        fetch();
      } else {
        node();
      }
    }
    return std::move(graph_);
  }

 private:
  std::string name() {
    cursor_.expect("%");
    const std::string_view bare = cursor_.word();
    return bare.empty() ? cursor_.quoted() : std::string(bare);
  }

  Value value() {
    const std::size_t at = cursor_.next();
    const std::string wanted = name();
    Node* node = graph_->find(wanted);
    if (node == nullptr) {
      std::vector<std::string> names;
      for (const auto& known : graph_->nodes()) names.push_back(known->name());
      throw with_candidates(
          cursor_.error_at(at, fmt::format("value must be made above, got \"{}\"", wanted)), wanted,
          names);
    }
    const std::int64_t index = cursor_.accept(":") ? cursor_.integer() : 0;
    const auto count = static_cast<std::int64_t>(node->outputs().size());
    if (index < 0 || index >= count) {
      throw cursor_.error_at(
          at, fmt::format("\"{}\" has {} output(s), got index {}", wanted, count, index));
    }
    return node->output(static_cast<int>(index));
  }

  static Error with_candidates(Error error, const std::string& wanted,
                               std::span<const std::string> names) {
    if (const auto close = closest_names(wanted, names); !close.empty()) {
      error.help("did you mean " + close + "?");
    }
    return error;
  }

  const OpDef& op() {
    const std::size_t at = cursor_.next();
    const std::string wanted(cursor_.word());
    if (const auto it = ops_.find(wanted); it != ops_.end()) return *it->second;
    std::vector<std::string> names;
    for (const auto& [known, def] : ops_) names.emplace_back(known);
    std::sort(names.begin(), names.end());
    throw with_candidates(cursor_.error_at(at, fmt::format("op must exist, got \"{}\"", wanted)),
                          wanted, names);
  }

  AttrList attrs(const OpDef& def) {
    AttrList list;
    if (!cursor_.accept("{") || cursor_.accept("}")) return list;
    do {
      const std::size_t at = cursor_.next();
      const std::string wanted(cursor_.word());
      const int index = def.attr_index(wanted);
      if (index < 0) {
        std::vector<std::string> names;
        for (const AttrSpec& spec : def.attrs) names.emplace_back(spec.name);
        throw with_candidates(
            cursor_.error_at(
                at, fmt::format("attribute must be one that {} has, got \"{}\"", def.name, wanted)),
            wanted, names);
      }
      if (std::any_of(list.begin(), list.end(), [&](const auto& a) { return a.name == wanted; })) {
        throw cursor_.error_at(
            at, fmt::format("attribute must be given once, got \"{}\" twice", wanted));
      }
      cursor_.expect("=");
      list.emplace_back(wanted, cursor_.attr(def.attrs[static_cast<std::size_t>(index)].kind));
    } while (cursor_.accept(","));
    cursor_.expect("}");
    return list;
  }

  std::vector<Declared> types() {
    std::vector<Declared> list;
    if (!cursor_.accept("->")) return list;
    do {
      Declared declared;
      declared.at = cursor_.next();
      declared.type = cursor_.type();
      if (cursor_.accept("@")) declared.layout = layout(declared.type.shape.rank());
      list.push_back(std::move(declared));
    } while (cursor_.accept(","));
    return list;
  }

  Layout layout(int rank) {
    const std::size_t at = cursor_.next();
    const std::string tag(cursor_.word());
    try {
      Layout layout = Layout::parse(tag);
      const bool fits =
          (layout.order().empty() || layout.order().size() == static_cast<std::size_t>(rank)) &&
          std::all_of(layout.blocks().begin(), layout.blocks().end(),
                      [rank](const Layout::Block& block) { return block.axis < rank; });
      if (fits && layout.to_string(rank) == tag) return layout;
    } catch (const Error& broken) {
      throw cursor_.error_at(at, broken.message());
    }
    throw cursor_.error_at(
        at, fmt::format("layout must name the {} axes of the shape, got \"{}\"", rank, tag));
  }

  Origin origin() {
    Origin origin;
    if (cursor_.accept("at")) {
      origin.location.file = graph_->intern(cursor_.quoted()).data();
      cursor_.expect(":");
      const std::size_t at = cursor_.next();
      const std::int64_t line = cursor_.integer();
      if (line < 1 || line > UINT32_MAX) {
        throw cursor_.error_at(at, fmt::format("line must be positive, got {}", line));
      }
      origin.location.line = static_cast<std::uint32_t>(line);
      origin.location.function = graph_->intern(cursor_.quoted()).data();
    }
    if (cursor_.accept("module")) origin.module_path = graph_->intern(cursor_.quoted());
    return origin;
  }

  std::unique_ptr<Graph> body(const OpDef& def) {
    const std::size_t at = cursor_.next();
    if (!cursor_.accept("body")) return nullptr;
    // What has a meaning of its own would run as something else.
    if (def.reference != nullptr || def.body != nullptr || def.traits.source ||
        def.traits.side_effect) {
      throw cursor_.error_at(
          at, fmt::format("op must be a region's to have a body, got \"{}\"", def.name));
    }
    if (depth_ == kMaxDepth) {
      throw cursor_.error(fmt::format("bodies may nest {} deep", kMaxDepth));
    }
    return GraphParser(cursor_, ops_, depth_ + 1).run();
  }

  void node() {
    const std::size_t at = cursor_.next();
    std::string node_name = name();
    if (graph_->find(node_name) != nullptr) {
      throw cursor_.error_at(at, fmt::format("name must be new, got \"{}\" again", node_name));
    }
    cursor_.expect("=");
    const OpDef& def = op();
    cursor_.expect("(");
    std::vector<Value> inputs;
    if (!cursor_.accept(")")) {
      do {
        inputs.push_back(value());
      } while (cursor_.accept(","));
      cursor_.expect(")");
    }
    AttrList attributes = attrs(def);
    const std::vector<Declared> declared = types();
    const Origin made = origin();
    std::unique_ptr<Graph> region = body(def);
    const Graph::OriginScope scope(*graph_, made);
    Node* added = nullptr;
    try {
      added = region != nullptr ? graph_->add_region(def, std::move(inputs), std::move(region),
                                                     std::move(attributes), std::move(node_name))
                                : graph_->add(def, std::move(inputs), std::move(attributes),
                                              std::move(node_name), {});
    } catch (Error& broken) {
      broken.note("graph text " + cursor_.place(at));
      throw;
    }
    apply(*added, declared);
  }

  void apply(Node& added, const std::vector<Declared>& declared) {
    if (declared.empty()) return;
    if (declared.size() != added.outputs().size()) {
      throw cursor_.error_at(declared[0].at,
                             fmt::format("\"{}\" has {} output(s), got {} type(s)", added.name(),
                                         added.outputs().size(), declared.size()));
    }
    for (std::size_t i = 0; i < declared.size(); ++i) {
      const TensorType& inferred = added.output_type(i);
      if (declared[i].type != inferred) {
        throw cursor_.error_at(declared[i].at,
                               fmt::format("type must be the inferred {}, got {}",
                                           inferred.to_string(), declared[i].type.to_string()));
      }
      added.set_layout(static_cast<int>(i), declared[i].layout);
    }
  }

  void fetch() {
    const std::size_t at = cursor_.next();
    std::string fetch_name = cursor_.quoted();
    cursor_.expect("=");
    const Value fetched = value();
    try {
      graph_->fetch(std::move(fetch_name), fetched);
    } catch (Error& broken) {
      broken.note("graph text " + cursor_.place(at));
      throw;
    }
  }

  TextCursor& cursor_;
  const std::unordered_map<std::string_view, const OpDef*>& ops_;
  int depth_;
  std::unique_ptr<Graph> graph_ = std::make_unique<Graph>();
};

}  // namespace

std::unique_ptr<Graph> parse_graph(std::string_view text, std::span<const OpDef* const> ops) {
  std::unordered_map<std::string_view, const OpDef*> by_name;
  for (const OpDef* op : ops) by_name.emplace(op->name, op);
  TextCursor cursor(text);
  cursor.expect("graph");
  auto graph = GraphParser(cursor, by_name, 0).run();
  if (!cursor.done()) throw cursor.error("must end after the graph");
  return graph;
}

AttrValue parse_attr(std::string_view text, AttrKind kind) {
  TextCursor cursor(text);
  AttrValue value = cursor.attr(kind);
  if (!cursor.done()) throw cursor.error("must end after the value");
  return value;
}

}  // namespace ingot
