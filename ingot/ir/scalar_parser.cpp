#include <fmt/core.h>

#include <cctype>
#include <charconv>
#include <utility>

#include "ingot/base/error.h"
#include "ingot/ir/scalar.h"

namespace ingot {
namespace {

/// Recursive descent over the text form described at ScalarProgram.
class Parser {
 public:
  Parser(std::string_view text, std::span<const std::string> inputs)
      : text_(text), program_(static_cast<int>(inputs.size())) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      names_.emplace_back(inputs[i], program_.add_input(static_cast<int>(i)));
    }
  }

  ScalarProgram run() {
    while (try_statement()) {
    }
    do {
      program_.add_output(comparison());
    } while (accept(","));
    skip_space();
    if (at_ != text_.size()) fail("end of the expression expected");
    return std::move(program_);
  }

 private:
  [[noreturn]] void fail(std::string_view rule) const {
    throw user_error(ErrorCode::invalid_graph,
                     fmt::format("scalar expression \"{}\": {}, at position {}", text_, rule, at_));
  }

  void skip_space() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }

  bool accept(std::string_view token) {
    skip_space();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }

  std::string_view identifier() {
    skip_space();
    const std::size_t start = at_;
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    const auto is_word = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    };
    if (at_ < text_.size() && !is_digit(text_[at_])) {
      while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    }
    return text_.substr(start, at_ - start);
  }

  bool try_statement() {
    const std::size_t start = at_;
    const std::string_view name = identifier();
    skip_space();
    const bool assigns =
        !name.empty() && at_ < text_.size() && text_[at_] == '=' && text_.substr(at_, 2) != "==";
    if (!assigns) {
      at_ = start;
      return false;
    }
    ++at_;
    const int value = comparison();
    if (!accept(";")) fail("';' expected after a statement");
    names_.emplace_back(std::string(name), value);
    return true;
  }

  int comparison() {
    const int left = sum();
    constexpr std::pair<std::string_view, ScalarOp> kOps[] = {
        {"<=", ScalarOp::le}, {">=", ScalarOp::ge}, {"==", ScalarOp::eq},
        {"!=", ScalarOp::ne}, {"<", ScalarOp::lt},  {">", ScalarOp::gt}};
    for (const auto& [token, op] : kOps) {
      if (accept(token)) return program_.add(op, left, sum());
    }
    return left;
  }

  int sum() {
    int left = product();
    while (true) {
      if (accept("+")) {
        left = program_.add(ScalarOp::add, left, product());
      } else if (accept("-")) {
        left = program_.add(ScalarOp::sub, left, product());
      } else {
        return left;
      }
    }
  }

  int product() {
    int left = unary();
    while (true) {
      if (accept("*")) {
        left = program_.add(ScalarOp::mul, left, unary());
      } else if (accept("/")) {
        left = program_.add(ScalarOp::div, left, unary());
      } else {
        return left;
      }
    }
  }

  int unary() {
    if (accept("-")) {
      if (double value = 0; try_number(value)) return program_.add_constant(-value);
      return program_.add(ScalarOp::neg, unary());
    }
    return primary();
  }

  bool try_number(double& value) {
    skip_space();
    const std::string_view rest = text_.substr(at_);
    const bool starts = !rest.empty() && (std::isdigit(static_cast<unsigned char>(rest[0])) != 0 ||
                                          rest.starts_with("inf") || rest.starts_with("nan"));
    if (!starts) return false;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (error != std::errc()) fail("number expected");
    at_ += static_cast<std::size_t>(end - rest.data());
    return true;
  }

  int primary() {
    if (accept("(")) {
      const int value = comparison();
      if (!accept(")")) fail("')' expected");
      return value;
    }
    if (double value = 0; try_number(value)) return program_.add_constant(value);
    const std::string_view name = identifier();
    if (name.empty()) fail("an operand expected");
    if (accept("(")) return call(name);
    for (auto it = names_.rbegin(); it != names_.rend(); ++it) {
      if (it->first == name) return it->second;
    }
    fail(fmt::format("unknown operand \"{}\"", name));
  }

  int call(std::string_view name) {
    std::vector<int> args;
    do {
      args.push_back(comparison());
    } while (accept(","));
    if (!accept(")")) fail("')' expected");
    if (name.starts_with("cast_")) {
      const auto type = parse_dtype(name.substr(5));
      if (!type) fail(fmt::format("unknown type in \"{}\"", name));
      if (args.size() != 1)
        fail(fmt::format("\"{}\" takes 1 argument(s), got {}", name, args.size()));
      return program_.add_cast(args[0], *type);
    }
    for (const ScalarOpInfo& info : scalar_ops()) {
      if (info.name != name || info.arity == 0 || info.op == ScalarOp::cast) continue;
      if (static_cast<int>(args.size()) != info.arity) {
        fail(fmt::format("\"{}\" takes {} argument(s), got {}", name, info.arity, args.size()));
      }
      args.resize(3, -1);
      return program_.add(info.op, args[0], args[1], args[2]);
    }
    fail(fmt::format("unknown function \"{}\"", name));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  ScalarProgram program_;
  std::vector<std::pair<std::string, int>> names_;
};

}  // namespace

ScalarProgram ScalarProgram::parse(std::string_view text, std::span<const std::string> inputs) {
  return Parser(text, inputs).run();
}

}  // namespace ingot
