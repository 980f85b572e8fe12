#include "tests/emulator/rewrite.h"

#include <cctype>
#include <regex>

namespace ingot::emulator {
namespace {

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// Past the bracket that closes the one at `open`.
std::size_t past_brackets(const std::string& text, std::size_t open) {
  int depth = 0;
  for (std::size_t at = open; at < text.size(); ++at) {
    if (text[at] == '(') ++depth;
    if (text[at] == ')' && --depth == 0) return at + 1;
  }
  return text.size();
}

const std::string kExported = "extern \"C\" __attribute__((visibility(\"default\"))) ";

struct Kernel {
  std::string name;
  std::size_t end = 0;  ///< past the parameters
};

/// Of the kernel whose `__global__` is at `from`.
Kernel find_kernel(const std::string& text, std::size_t from) {
  std::size_t at = from;
  while (at < text.size()) {
    while (at < text.size() && !is_name(text[at])) ++at;
    const std::size_t start = at;
    while (at < text.size() && is_name(text[at])) ++at;
    const std::string word = text.substr(start, at - start);
    std::size_t open = at;
    while (open < text.size() && text[open] == ' ') ++open;
    if (open >= text.size() || text[open] != '(') continue;
    at = past_brackets(text, open);
    if (!word.starts_with("__")) return {word, at};
  }
  return {};
}

/// Blocks of a cluster along x.
std::string cluster_of(const std::string& declaration) {
  static const std::regex dimensions(R"(__cluster_dims__\(\s*(\d+))");
  std::smatch found;
  return std::regex_search(declaration, found, dimensions) ? found[1].str() : "1";
}

}  // namespace

std::string rewrite_kernels(const std::string& source) {
  static const std::regex dynamic(
      R"(extern\s+__shared__\s+(?:__align__\s*\(\s*\d+\s*\)\s*)?([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;)");
  static const std::regex fixed(
      R"(__shared__\s+(?:__align__\s*\(\s*\d+\s*\)\s*)?([\w ]+?)\s+(\w+)\s*((?:\[[^\]]*\]\s*)*);)");
  std::string text =
      std::regex_replace(source, dynamic, "$1* const $2 = ($1*)ingot::emulator::here().shared;");
  text = std::regex_replace(
      text, fixed,
      "static const unsigned $2_at = ingot::emulator::reserve(sizeof($1$3)); $1 (&$2)$3 = "
      "*($1 (*)$3)(ingot::emulator::here().fixed_shared + $2_at);");
  static const std::string mark = "extern \"C\" __global__";
  std::string out;
  std::size_t from = 0;
  while (true) {
    const std::size_t start = text.find(mark, from);
    if (start == std::string::npos) break;
    const Kernel kernel = find_kernel(text, start + mark.size());
    const std::string declaration = text.substr(start, kernel.end - start);
    out.append(text, from, start - from);
    out += declaration + ";\n";
    const std::string caller = "ingot::emulator::Caller<decltype(&" + kernel.name + ")>::";
    out += kExported + "void ingot_call_" + kernel.name + "(void** a) { " + caller + "call(&" +
           kernel.name + ", a); }\n";
    out += kExported + "unsigned ingot_sizes_" + kernel.name + "(unsigned* s) { return " + caller +
           "sizes(s); }\n";
    out += kExported + "unsigned ingot_cluster_" + kernel.name + "() { return " +
           cluster_of(declaration) + "; }\n";
    out += declaration;
    from = kernel.end;
  }
  out.append(text, from);
  return out;
}

}  // namespace ingot::emulator
