#include "ingot/base/error.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <system_error>
#include <utility>
#include <vector>

namespace ingot {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

}  // namespace

Error::Error(ErrorKind kind, ErrorCode code, std::string message)
    : kind_(kind), code_(code), message_(std::move(message)), what_(message_) {}

Error& Error::note(std::string_view text) {
  what_.append("\nnote: ").append(text);
  return *this;
}

Error& Error::help(std::string_view text) {
  what_.append("\nhelp: ").append(text);
  return *this;
}

Error user_error(ErrorCode code, std::string message) {
  return Error(ErrorKind::user, code, std::move(message));
}

Error unsupported_error(std::string message) {
  return Error(ErrorKind::unsupported, ErrorCode::unsupported, std::move(message));
}

Error internal_error(std::string message) {
  Error error(ErrorKind::internal, ErrorCode::internal, std::move(message));
  error.help("this is a bug in Ingot; please report it with the graph that caused it");
  return error;
}

Error file_error(std::string_view path, std::string_view rule, int error) {
  std::string reason = std::generic_category().message(error);
  // The grammar of messages: lower case, unless the first word is an abbreviation.
  if (reason.size() > 1 && reason[0] >= 'A' && reason[0] <= 'Z' && reason[1] >= 'a') {
    reason[0] = static_cast<char>(reason[0] - 'A' + 'a');
  }
  return user_error(error == ENOENT ? ErrorCode::not_found : ErrorCode::io,
                    fmt::format("file \"{}\": must be {}, got {}", path, rule, reason));
}

std::string closest_names(std::string_view name, std::span<const std::string> candidates) {
  std::vector<std::pair<std::size_t, std::string_view>> close;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(name, candidate);
    const std::size_t limit = std::max<std::size_t>(2, std::max(name.size(), candidate.size()) / 3);
    if (distance <= limit) close.emplace_back(distance, candidate);
  }
  std::sort(close.begin(), close.end());
  if (close.size() > 3) close.resize(3);
  std::string text;
  for (const auto& entry : close) {
    if (!text.empty()) text += ", ";
    text.append("\"").append(entry.second).append("\"");
  }
  return text;
}

}  // namespace ingot
