// A cursor over the graph text: tokens, and errors that know line and column.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ingot/base/error.h"
#include "ingot/ir/attr.h"

namespace ingot {

class TextCursor {
 public:
  explicit TextCursor(std::string_view text) : text_(text) {}

  /// `graph text 3:17: {rule}, got {what stands here}`.
  [[nodiscard]] Error error(std::string_view rule);
  /// `graph text 3:17: {message}` for a place noted earlier.
  [[nodiscard]] Error error_at(std::size_t at, std::string_view message) const;
  /// "3:17"
  [[nodiscard]] std::string place(std::size_t at) const;

  /// Skips spaces and comments.
  void skip();
  /// Position of the next token.
  [[nodiscard]] std::size_t next() {
    skip();
    return at_;
  }
  [[nodiscard]] bool done() { return next() == text_.size(); }
  /// The given punctuation, or a whole word, if it stands here.
  bool accept(std::string_view token);
  void expect(std::string_view token);
  /// [A-Za-z0-9_./-]+; empty when none stands here.
  std::string_view word();
  /// A double-quoted string with the escapes \" \\ \n.
  std::string quoted();
  std::int64_t integer();
  double real();
  /// "f32[2,3]"
  TensorType type();
  std::vector<std::int64_t> integers();
  DType dtype();
  AttrValue attr(AttrKind kind);

 private:
  /// A number's characters.
  std::string_view number();
  ScalarProgram program();
  TensorAttr tensor();

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace ingot
