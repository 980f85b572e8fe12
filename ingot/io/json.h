// JSON values for checkpoints, reports and --json output.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace ingot::io {

struct JsonMember;

/// A JSON value (RFC 8259). Integers within i64 or u64 stay integers and round-trip exactly; all
/// other numbers are doubles, written so that they read back bit for bit. Objects keep the order in
/// which their members were set.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<JsonMember>;

  Json();
  Json(std::nullptr_t);          // NOLINT: implicit
  template <std::integral T>     // bool too, but no pointers
  Json(T value);                 // NOLINT: implicit
  Json(double value);            // NOLINT: implicit
  Json(std::string value);       // NOLINT: implicit
  Json(std::string_view value);  // NOLINT: implicit
  Json(const char* value);       // NOLINT: implicit
  Json(Array values);            // NOLINT: implicit
  Json(Object members);          // NOLINT: implicit; the keys differ

  static Json array();
  /// An object with the members in the given order; keys must differ.
  static Json object();
  static Json object(std::initializer_list<JsonMember> members);

  /// Parse one value that fills `text` (white space around it allowed). Error (invalid_data) with
  /// line and column on bad syntax, repeated keys, numbers out of range, or more than 200 levels;
  /// `name` is what the message calls the text, usually a file name.
  static Json parse(std::string_view text, std::string_view name);

  [[nodiscard]] bool is_null() const noexcept { return value_.index() == 0; }
  [[nodiscard]] bool is_bool() const noexcept { return std::holds_alternative<bool>(value_); }
  [[nodiscard]] bool is_integer() const noexcept;
  [[nodiscard]] bool fits_i64() const noexcept {
    return std::holds_alternative<std::int64_t>(value_);
  }
  [[nodiscard]] bool is_number() const noexcept;
  [[nodiscard]] bool is_string() const noexcept {
    return std::holds_alternative<std::string>(value_);
  }
  [[nodiscard]] bool is_array() const noexcept { return std::holds_alternative<Array>(value_); }
  [[nodiscard]] bool is_object() const noexcept { return std::holds_alternative<Object>(value_); }

  /// The value as that type; else Error (invalid_data) `json: must be ..., got ...`. as_double
  /// takes integers too.
  [[nodiscard]] bool as_bool() const { return bool_in({}); }
  [[nodiscard]] std::int64_t as_i64() const { return i64_in({}); }
  [[nodiscard]] std::uint64_t as_u64() const { return u64_in({}); }
  [[nodiscard]] double as_double() const { return double_in({}); }
  [[nodiscard]] const std::string& as_string() const { return string_in({}); }
  [[nodiscard]] const Array& as_array() const { return array_in({}); }
  [[nodiscard]] const Object& as_object() const { return object_in({}); }

  /// The member's value, or nullptr when there is none (or this is no object).
  [[nodiscard]] const Json* find(std::string_view key) const noexcept;
  /// The member's value; Error (invalid_data) `json: must have key "k", got ...` without it.
  [[nodiscard]] const Json& at(std::string_view key) const;
  /// at(key).as_...() with the key in the message: `json "k": must be ..., got ...`.
  [[nodiscard]] bool bool_at(std::string_view key) const { return at(key).bool_in(key); }
  [[nodiscard]] std::int64_t i64_at(std::string_view key) const { return at(key).i64_in(key); }
  [[nodiscard]] std::uint64_t u64_at(std::string_view key) const { return at(key).u64_in(key); }
  [[nodiscard]] double double_at(std::string_view key) const { return at(key).double_in(key); }
  [[nodiscard]] const std::string& string_at(std::string_view key) const {
    return at(key).string_in(key);
  }
  [[nodiscard]] const Array& array_at(std::string_view key) const { return at(key).array_in(key); }
  [[nodiscard]] const Object& object_at(std::string_view key) const {
    return at(key).object_in(key);
  }

  /// Add a member or replace its value; a null value becomes an object first.
  Json& set(std::string_view key, Json value);
  /// Append to an array; a null value becomes an array first.
  Json& push_back(Json value);

  /// On one line. NaN and infinities, which JSON lacks, are written as null. Error
  /// (invalid_argument) when a string is not UTF-8.
  [[nodiscard]] std::string dump() const;
  /// Indented by two spaces, with a final newline.
  [[nodiscard]] std::string dump_pretty() const;

  /// A short form for messages: strings, arrays and objects are cut.
  [[nodiscard]] std::string describe() const;

  friend bool operator==(const Json& a, const Json& b);

 private:
  [[nodiscard]] bool bool_in(std::string_view key) const;
  [[nodiscard]] std::int64_t i64_in(std::string_view key) const;
  [[nodiscard]] std::uint64_t u64_in(std::string_view key) const;
  [[nodiscard]] double double_in(std::string_view key) const;
  [[nodiscard]] const std::string& string_in(std::string_view key) const;
  [[nodiscard]] const Array& array_in(std::string_view key) const;
  [[nodiscard]] const Object& object_in(std::string_view key) const;

  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array,
               Object>
      value_;
};

struct JsonMember {
  std::string key;
  Json value;
  friend bool operator==(const JsonMember&, const JsonMember&) = default;
};

// Here, because the variant's members are complete only now.
inline Json::Json() = default;
inline Json::Json(std::nullptr_t) {}
template <std::integral T>
Json::Json(T value) {
  if constexpr (std::same_as<T, bool>) {
    value_ = value;
  } else if (std::in_range<std::int64_t>(value)) {
    // One representation per integer, so that equal numbers compare equal.
    value_ = static_cast<std::int64_t>(value);
  } else {
    value_ = static_cast<std::uint64_t>(value);
  }
}
inline Json::Json(double value) : value_(value) {}
inline Json::Json(std::string value) : value_(std::move(value)) {}
inline Json::Json(std::string_view value) : value_(std::string(value)) {}
inline Json::Json(const char* value) : value_(std::string(value)) {}
inline Json::Json(Array values) : value_(std::move(values)) {}
inline Json::Json(Object members) : value_(std::move(members)) {}
inline Json Json::array() { return Json(Array{}); }

}  // namespace ingot::io
