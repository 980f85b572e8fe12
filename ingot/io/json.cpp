#include "ingot/io/json.h"

#include <fmt/core.h>

#include <limits>

#include "ingot/base/error.h"

namespace ingot::io {
namespace {

constexpr std::size_t kDescribedBytes = 40;

// `json "key"`, or `json` for a value whose key is not known.
std::string label(std::string_view key) {
  return key.empty() ? "json" : fmt::format("json \"{}\"", key);
}

Error mismatch(std::string_view key, std::string_view rule, const Json& got) {
  return user_error(ErrorCode::invalid_data,
                    fmt::format("{}: must be {}, got {}", label(key), rule, got.describe()));
}

template <typename T, typename Variant>
const T& expect(const Variant& value, const Json& self, std::string_view key,
                std::string_view rule) {
  const T* held = std::get_if<T>(&value);
  if (held == nullptr) throw mismatch(key, rule, self);
  return *held;
}

}  // namespace

Json Json::object() {
  Json result;
  result.value_ = Object{};
  return result;
}

Json Json::object(std::initializer_list<JsonMember> members) {
  Json result = object();
  for (const JsonMember& member : members) result.set(member.key, member.value);
  return result;
}

bool Json::is_integer() const noexcept {
  return std::holds_alternative<std::int64_t>(value_) ||
         std::holds_alternative<std::uint64_t>(value_);
}

bool Json::is_number() const noexcept {
  return is_integer() || std::holds_alternative<double>(value_);
}

bool Json::bool_in(std::string_view key) const {
  return expect<bool>(value_, *this, key, "true or false");
}

std::int64_t Json::i64_in(std::string_view key) const {
  return expect<std::int64_t>(value_, *this, key, "an integer of 64 bits");
}

std::uint64_t Json::u64_in(std::string_view key) const {
  if (const auto* value = std::get_if<std::int64_t>(&value_); value != nullptr && *value >= 0) {
    return static_cast<std::uint64_t>(*value);
  }
  return expect<std::uint64_t>(value_, *this, key, "a non-negative integer of 64 bits");
}

double Json::double_in(std::string_view key) const {
  if (const auto* value = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<std::uint64_t>(&value_)) return static_cast<double>(*value);
  return expect<double>(value_, *this, key, "a number");
}

const std::string& Json::string_in(std::string_view key) const {
  return expect<std::string>(value_, *this, key, "a string");
}

const Json::Array& Json::array_in(std::string_view key) const {
  return expect<Array>(value_, *this, key, "an array");
}

const Json::Object& Json::object_in(std::string_view key) const {
  return expect<Object>(value_, *this, key, "an object");
}

const Json* Json::find(std::string_view key) const noexcept {
  const auto* members = std::get_if<Object>(&value_);
  if (members == nullptr) return nullptr;
  for (const JsonMember& member : *members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

const Json& Json::at(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) {
    throw user_error(ErrorCode::invalid_data,
                     fmt::format("json: must have key \"{}\", got {}", key, describe()));
  }
  return *value;
}

Json& Json::set(std::string_view key, Json value) {
  if (is_null()) value_ = Object{};
  if (auto* found = const_cast<Json*>(find(key))) {
    *found = std::move(value);
    return *this;
  }
  auto* members = std::get_if<Object>(&value_);
  if (members == nullptr) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("json: set needs an object, got {}", describe()));
  }
  members->push_back({std::string(key), std::move(value)});
  return *this;
}

Json& Json::push_back(Json value) {
  if (is_null()) value_ = Array{};
  auto* values = std::get_if<Array>(&value_);
  if (values == nullptr) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("json: push_back needs an array, got {}", describe()));
  }
  values->push_back(std::move(value));
  return *this;
}

std::string Json::describe() const {
  const auto count = [](std::size_t size, std::string_view one, std::string_view many) {
    return fmt::format("{} {}", size, size == 1 ? one : many);
  };
  if (const auto* values = std::get_if<Array>(&value_)) {
    return "an array of " + count(values->size(), "value", "values");
  }
  if (const auto* members = std::get_if<Object>(&value_)) {
    return "an object of " + count(members->size(), "key", "keys");
  }
  if (const auto* text = std::get_if<std::string>(&value_)) {
    if (text->size() > kDescribedBytes) return fmt::format("a string of {} bytes", text->size());
    return fmt::format("\"{}\"", *text);
  }
  return dump();
}

bool operator==(const Json& a, const Json& b) { return a.value_ == b.value_; }

}  // namespace ingot::io
