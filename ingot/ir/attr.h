// Attributes of Nodes: data, described by the op's record.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ingot/base/dtype.h"
#include "ingot/base/host_view.h"
#include "ingot/ir/scalar.h"

namespace ingot {

/// Immutable tensor data of a constant, shared by copies of a Graph and compared by content.
struct TensorAttr {
  std::shared_ptr<const HostTensor> tensor;
  friend bool operator==(const TensorAttr& a, const TensorAttr& b) {
    return a.tensor == b.tensor || (a.tensor && b.tensor && *a.tensor == *b.tensor);
  }
};

/// Order matches AttrKind.
using AttrValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>,
                               DType, ScalarProgram, TensorAttr>;

enum class AttrKind : std::uint8_t {
  boolean,
  integer,
  real,
  string,
  integers,
  dtype,
  scalar_program,
  tensor
};
std::string_view attr_kind_name(AttrKind kind) noexcept;
AttrKind attr_kind(const AttrValue& value) noexcept;

/// One field of an op's attribute list. Without a default the attribute is required.
struct AttrSpec {
  std::string_view name;
  AttrKind kind;
  std::string_view doc;
  std::optional<AttrValue> default_value = std::nullopt;
};

/// A named value given by a caller: `{"groups", 2}`.
struct NamedAttr {
  std::string name;
  AttrValue value;

  NamedAttr(std::string n, AttrValue v) : name(std::move(n)), value(std::move(v)) {}
  NamedAttr(std::string n, bool v) : name(std::move(n)), value(v) {}
  NamedAttr(std::string n, int v) : name(std::move(n)), value(std::int64_t{v}) {}
  NamedAttr(std::string n, std::int64_t v) : name(std::move(n)), value(v) {}
  NamedAttr(std::string n, double v) : name(std::move(n)), value(v) {}
  NamedAttr(std::string n, DType v) : name(std::move(n)), value(v) {}
  NamedAttr(std::string n, const char* v) : name(std::move(n)), value(std::string(v)) {}
  NamedAttr(std::string n, std::string v) : name(std::move(n)), value(std::move(v)) {}
  NamedAttr(std::string n, std::vector<std::int64_t> v) : name(std::move(n)), value(std::move(v)) {}
  NamedAttr(std::string n, std::initializer_list<std::int64_t> v)
      : name(std::move(n)), value(std::vector<std::int64_t>(v)) {}
  NamedAttr(std::string n, ScalarProgram v) : name(std::move(n)), value(std::move(v)) {}
};
using AttrList = std::vector<NamedAttr>;

/// Text of one value: `true`, `3`, `0.5`, `"text"`, `[1,2]`, `f32`, `expr(2)"..."`, `dense<...>`.
/// Reals print with enough digits to read back exactly.
std::string to_string(const AttrValue& value);
std::size_t hash_value(const AttrValue& value) noexcept;

}  // namespace ingot
