#include "ingot/ir/text_cursor.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace ingot {
namespace {

/// A splat of a few characters must not ask for any amount of memory.
constexpr std::int64_t kMaxTensorBytes = std::int64_t{1} << 28;
constexpr std::int64_t kMaxOperands = 4096;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '/' || c == '-';
}

}  // namespace

std::string TextCursor::place(std::size_t at) const {
  const std::string_view before = text_.substr(0, at);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t start = before.rfind('\n');
  const std::size_t column = start == std::string_view::npos ? at + 1 : at - start;
  return fmt::format("{}:{}", line, column);
}

Error TextCursor::error_at(std::size_t at, std::string_view message) const {
  return user_error(ErrorCode::invalid_graph, fmt::format("graph text {}: {}", place(at), message));
}

Error TextCursor::error(std::string_view rule) {
  skip();
  std::string_view got = text_.substr(at_, 20);
  std::size_t length = 0;
  while (length < got.size() && is_word(got[length])) ++length;
  got = got.substr(0, std::max<std::size_t>(length, 1));
  const std::string shown =
      got.empty() ? "the end" : fmt::format("{}", to_string(AttrValue(std::string(got))));
  return error_at(at_, fmt::format("{}, got {}", rule, shown));
}

void TextCursor::skip() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '#') {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
      ++at_;
    } else {
      return;
    }
  }
}

bool TextCursor::accept(std::string_view token) {
  skip();
  if (text_.substr(at_, token.size()) != token) return false;
  const std::size_t end = at_ + token.size();
  if (is_word(token[0]) && end < text_.size() && is_word(text_[end])) return false;
  at_ = end;
  return true;
}

void TextCursor::expect(std::string_view token) {
  if (!accept(token)) throw error(fmt::format("must have '{}' here", token));
}

std::string_view TextCursor::word() {
  skip();
  const std::size_t start = at_;
  while (at_ < text_.size() && is_word(text_[at_])) ++at_;
  return text_.substr(start, at_ - start);
}

std::string TextCursor::quoted() {
  if (!accept("\"")) throw error("must have a quoted string here");
  std::string result;
  const std::size_t start = at_ - 1;
  while (at_ < text_.size() && text_[at_] != '"') {
    char c = text_[at_++];
    if (c == '\\' && at_ < text_.size()) {
      c = text_[at_++];
      if (c == 'n') {
        c = '\n';
      } else if (c != '"' && c != '\\') {
        throw error_at(at_ - 2, "escapes must be \\\", \\\\ or \\n, got another");
      }
    }
    result += c;
  }
  if (at_ == text_.size()) throw error_at(start, "string must end with '\"', got the end");
  ++at_;
  return result;
}

std::string_view TextCursor::number() {
  skip();
  const std::size_t start = at_;
  while (at_ < text_.size() &&
         (is_word(text_[at_]) || (text_[at_] == '+' && at_ > start && text_[at_ - 1] == 'e'))) {
    ++at_;
  }
  return text_.substr(start, at_ - start);
}

std::int64_t TextCursor::integer() {
  const std::size_t start = next();
  const std::string_view digits = number();
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failed != std::errc() || end != digits.data() + digits.size()) {
    at_ = start;
    throw error("must have a 64-bit integer here");
  }
  return value;
}

double TextCursor::real() {
  const std::size_t start = next();
  const std::string_view digits = number();
  double value = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failed != std::errc() || end != digits.data() + digits.size()) {
    at_ = start;
    throw error("must have a number here");
  }
  return value;
}

std::vector<std::int64_t> TextCursor::integers() {
  expect("[");
  std::vector<std::int64_t> values;
  if (accept("]")) return values;
  do {
    values.push_back(integer());
  } while (accept(","));
  expect("]");
  return values;
}

DType TextCursor::dtype() {
  const std::size_t start = next();
  const auto dtype = parse_dtype(word());
  if (!dtype) {
    at_ = start;
    throw error("must have an element type such as f32 here");
  }
  return *dtype;
}

TensorType TextCursor::type() {
  const DType element = dtype();
  const std::size_t start = next();
  const std::vector<std::int64_t> dims = integers();
  const bool valid = dims.size() <= Shape::kMaxRank &&
                     std::all_of(dims.begin(), dims.end(), [](auto dim) { return dim >= 0; });
  if (!valid) {
    throw error_at(start, fmt::format("shape must have at most {} dimensions and none negative, "
                                      "got {}",
                                      Shape::kMaxRank, to_string(AttrValue(dims))));
  }
  return {element, Shape(dims)};
}

ScalarProgram TextCursor::program() {
  expect("expr");
  expect("(");
  const std::size_t start = next();
  const std::int64_t count = integer();
  if (count < 0 || count > kMaxOperands) {
    throw error_at(
        start, fmt::format("expression must have 0 to {} operands, got {}", kMaxOperands, count));
  }
  expect(")");
  const std::size_t body = next();
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < count; ++i) names.push_back(fmt::format("x{}", i));
  const std::string text = quoted();
  if (text.empty()) return ScalarProgram(static_cast<int>(count));
  try {
    return ScalarProgram::parse(text, names);
  } catch (const Error& broken) {
    throw error_at(body, broken.message());
  }
}

TensorAttr TextCursor::tensor() {
  expect("dense");
  expect("<");
  const std::size_t start = next();
  const TensorType declared = type();
  expect(":");
  const std::int64_t count = declared.numel();
  if (count > kMaxTensorBytes || declared.bytes() > kMaxTensorBytes) {
    throw error_at(start, fmt::format("a tensor in text must have at most {} bytes, got {}",
                                      kMaxTensorBytes, declared.to_string()));
  }
  auto tensor = std::make_shared<HostTensor>(declared);
  const HostView view = tensor->view();
  std::int64_t given = 0;
  const bool real_elements = is_float(declared.dtype);
  if (!accept(">")) {
    do {
      const double real_value = real_elements ? real() : 0;
      const std::int64_t integer_value = real_elements ? 0 : integer();
      if (given < count) {
        if (real_elements) {
          view.set(given, real_value);
        } else {
          view.set_int(given, integer_value);
        }
      }
      ++given;
    } while (accept(","));
    expect(">");
  }
  if (given == 1 && count > 1) {
    const std::size_t size = dtype_size(declared.dtype);
    const std::byte* first = tensor->bytes().data();
    for (std::int64_t i = 1; i < count; ++i) {
      std::copy_n(first, size, view.data + static_cast<std::size_t>(i) * size);
    }
  } else if (given != count) {
    throw error_at(start, fmt::format("{} must have {} elements or one for all, got {}",
                                      declared.to_string(), count, given));
  }
  return {std::move(tensor)};
}

AttrValue TextCursor::attr(AttrKind kind) {
  switch (kind) {
    case AttrKind::boolean:
      if (accept("true")) return true;
      if (accept("false")) return false;
      throw error("must have true or false here");
    case AttrKind::integer: return integer();
    case AttrKind::real: return real();
    case AttrKind::string: return quoted();
    case AttrKind::integers: return integers();
    case AttrKind::dtype: return dtype();
    case AttrKind::scalar_program: return program();
    case AttrKind::tensor: return tensor();
  }
  throw internal_error("attribute kind out of range");
}

}  // namespace ingot
