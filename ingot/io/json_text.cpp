// Text to Json and back. The one file that includes nlohmann-json.
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "ingot/base/error.h"
#include "ingot/io/json.h"

namespace ingot::io {
namespace {

// Json is destroyed and compared recursively, so hostile nesting has to end somewhere.
constexpr std::size_t kMaxDepth = 200;
constexpr std::size_t kShownTokenBytes = 24;

// ASCII for a message: what was read last may be no UTF-8, and long.
std::string printable(std::string_view token) {
  std::string text;
  for (const char c : token.substr(0, kShownTokenBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    text += byte >= 0x20 && byte < 0x7f ? std::string(1, c) : fmt::format("\\x{:02x}", byte);
  }
  return token.size() > kShownTokenBytes ? text + "..." : text;
}

// Receives the parser's events and builds the value; keeps the first error. `position` in
// parse_error counts the bytes read, the offending one included.
class Builder : public nlohmann::json_sax<nlohmann::ordered_json> {
 public:
  explicit Builder(std::string_view text) : text_(text) {}

  bool null() override { return add(Json()); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(std::int64_t value) override { return add(value); }
  bool number_unsigned(std::uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(false); }
  bool start_array(std::size_t) override { return open(true); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& key) override {
    Level& level = levels_.back();
    if (!level.keys.insert(key).second) {
      error_ = fmt::format("keys of an object must be unique, got \"{}\" twice", key);
      return false;
    }
    level.key = std::move(key);
    return true;
  }

  bool parse_error(std::size_t position, const std::string& last_token,
                   const nlohmann::detail::exception& error) override {
    constexpr int kNumberOutOfRange = 406;
    const bool at_end = position > text_.size();
    fail(error.id == kNumberOutOfRange ? "numbers must fit a double" : "must be well-formed JSON",
         at_end ? "the end of the text" : fmt::format("'{}'", printable(last_token)),
         at_end ? text_.size() : position - 1);
    return false;
  }

  void fail(std::string_view rule, std::string_view got, std::size_t offset) {
    const std::string_view before = text_.substr(0, offset);
    const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    error_ = fmt::format("{}, got {} at line {}, column {}", rule, got,
                         std::count(before.begin(), before.end(), '\n') + 1,
                         before.size() - line_start + 1);
  }

  [[nodiscard]] const std::optional<std::string>& error() const { return error_; }
  Json take() { return std::move(root_); }

 private:
  struct Level {
    bool is_array;
    Json::Array values;
    Json::Object members;
    std::string key;
    std::unordered_set<std::string> keys;
  };

  bool add(Json value) {
    if (levels_.empty()) {
      root_ = std::move(value);
    } else if (Level& level = levels_.back(); level.is_array) {
      level.values.push_back(std::move(value));
    } else {
      level.members.push_back({std::move(level.key), std::move(value)});
    }
    return true;
  }

  bool open(bool is_array) {
    if (levels_.size() == kMaxDepth) {
      error_ = fmt::format("must nest at most {} levels, got more", kMaxDepth);
      return false;
    }
    levels_.push_back({is_array, {}, {}, {}, {}});
    return true;
  }

  bool close() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    return add(level.is_array ? Json(std::move(level.values)) : Json(std::move(level.members)));
  }

  std::string_view text_;
  std::vector<Level> levels_;
  Json root_;
  std::optional<std::string> error_;
};

nlohmann::ordered_json convert(const Json& value) {
  if (value.is_null()) return nullptr;
  if (value.is_bool()) return value.as_bool();
  if (value.is_string()) return value.as_string();
  if (value.is_array()) {
    nlohmann::ordered_json result = nlohmann::ordered_json::array();
    for (const Json& element : value.as_array()) result.push_back(convert(element));
    return result;
  }
  if (value.is_object()) {
    nlohmann::ordered_json result = nlohmann::ordered_json::object();
    // The members go in as they are: looking each key up first would cost quadratic time.
    auto& members = result.get_ref<nlohmann::ordered_json::object_t&>();
    for (const JsonMember& member : value.as_object()) {
      members.push_back({member.key, convert(member.value)});
    }
    return result;
  }
  if (!value.is_integer()) return value.as_double();
  if (value.fits_i64()) return value.as_i64();
  return value.as_u64();
}

std::string write(const Json& value, int indent) {
  try {
    return convert(value).dump(indent);
  } catch (const nlohmann::json::type_error& error) {
    throw user_error(ErrorCode::invalid_argument, "json: strings must be UTF-8, got other bytes");
  }
}

}  // namespace

Json Json::parse(std::string_view text, std::string_view name) {
  Builder builder(text);
  // The library takes a NUL byte for the end of the text.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    builder.fail("must be well-formed JSON", "'\\x00'", nul);
  } else {
    nlohmann::ordered_json::sax_parse(text.begin(), text.end(), &builder);
  }
  if (builder.error()) {
    throw user_error(ErrorCode::invalid_data,
                     fmt::format("json \"{}\": {}", name, *builder.error()));
  }
  return builder.take();
}

std::string Json::dump() const { return write(*this, -1); }

std::string Json::dump_pretty() const { return write(*this, 2) + '\n'; }

}  // namespace ingot::io
