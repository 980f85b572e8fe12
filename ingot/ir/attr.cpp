#include "ingot/ir/attr.h"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <type_traits>

namespace ingot {
namespace {

std::string real_text(double value) {
  std::string text = fmt::format("{}", value);
  // A real always shows that it is one, so that the parser keeps its kind.
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (c == '\n') {
      result += "\\n";
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string tensor_text(const HostTensor& tensor) {
  std::string text = fmt::format("dense<{}:", tensor.type().to_string());
  const HostView view = tensor.view();
  const std::size_t size = dtype_size(view.type.dtype);
  const std::byte* first = tensor.bytes().data();
  bool splat = view.numel() > 1;
  for (std::int64_t i = 1; i < view.numel() && splat; ++i) {
    splat = std::equal(first, first + size, first + static_cast<std::size_t>(i) * size);
  }
  const std::int64_t count = splat ? 1 : view.numel();
  for (std::int64_t i = 0; i < count; ++i) {
    text += i == 0 ? " " : ",";
    text += is_float(view.type.dtype) ? real_text(view.get(i)) : std::to_string(view.get_int(i));
  }
  return text + ">";
}

template <typename T>
void combine(std::size_t& seed, const T& value) noexcept {
  seed ^= std::hash<T>{}(value) + 0x9e3779b97f4a7c15ull + (seed << 6) + (seed >> 2);
}

}  // namespace

std::string_view attr_kind_name(AttrKind kind) noexcept {
  constexpr std::string_view kNames[] = {
      "bool", "integer", "real", "string", "integers", "dtype", "scalar expression", "tensor"};
  return kNames[static_cast<std::size_t>(kind)];
}

AttrKind attr_kind(const AttrValue& value) noexcept { return static_cast<AttrKind>(value.index()); }

std::string to_string(const AttrValue& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, bool>) {
          return v ? "true" : "false";
        } else if constexpr (std::is_same_v<T, std::int64_t>) {
          return std::to_string(v);
        } else if constexpr (std::is_same_v<T, double>) {
          return real_text(v);
        } else if constexpr (std::is_same_v<T, std::string>) {
          return quoted(v);
        } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
          std::string text = "[";
          for (std::size_t i = 0; i < v.size(); ++i) {
            if (i > 0) text += ',';
            text += std::to_string(v[i]);
          }
          return text + "]";
        } else if constexpr (std::is_same_v<T, DType>) {
          return std::string(dtype_name(v));
        } else if constexpr (std::is_same_v<T, ScalarProgram>) {
          return fmt::format("expr({})\"{}\"", v.num_inputs(), v.to_string());
        } else {
          return tensor_text(*v.tensor);
        }
      },
      value);
}

std::size_t hash_value(const AttrValue& value) noexcept {
  std::size_t seed = value.index();
  std::visit(
      [&seed](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
          for (const std::int64_t x : v) combine(seed, x);
        } else if constexpr (std::is_same_v<T, DType>) {
          combine(seed, static_cast<int>(v));
        } else if constexpr (std::is_same_v<T, ScalarProgram>) {
          for (const ScalarInstr& i : v.instrs()) {
            combine(seed, static_cast<int>(i.op));
            combine(seed, i.a);
            combine(seed, i.b);
            combine(seed, i.imm);
          }
        } else if constexpr (std::is_same_v<T, TensorAttr>) {
          const auto bytes = v.tensor->bytes();
          combine(seed,
                  std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
        } else {
          combine(seed, v);
        }
      },
      value);
  return seed;
}

}  // namespace ingot
