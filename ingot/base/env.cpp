#include "ingot/base/env.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "ingot/base/error.h"

extern char** environ;

namespace ingot {
namespace {

constexpr std::array<std::string_view, 2> kFallbackChoices{"warn", "error"};
constexpr std::array<std::string_view, 3> kSimdChoices{"best", "avx2", "baseline"};
constexpr std::array<std::string_view, 7> kTraceChannels{
    "passes", "regions", "dispatch", "numerics", "memory", "kernels", "launches"};

constexpr std::array kTable{
    EnvVariable{.name = "INGOT_THREADS",
                .kind = EnvKind::integer,
                .default_value = "0",
                .doc = "threads of the CPU pool, the caller included; 0 takes the cores that this "
                       "process may run on",
                .low = 0,
                .high = 1024},
    EnvVariable{.name = "INGOT_TRACE",
                .kind = EnvKind::list,
                .doc = "trace channels to print on stderr, CHANNEL[:FILTER][,...]; with a filter "
                       "only lines that contain it",
                .choices = kTraceChannels,
                .choice_noun = "channel"},
    EnvVariable{.name = "INGOT_FALLBACK",
                .kind = EnvKind::choice,
                .default_value = "warn",
                .doc = "what happens when a slower device or kernel has to stand in: one line on "
                       "stderr, or an error",
                .choices = kFallbackChoices},
    EnvVariable{.name = "INGOT_SIMD",
                .kind = EnvKind::choice,
                .default_value = "best",
                .doc = "the most of the processor's vector instructions that CPU kernels may use: "
                       "best (all), avx2, or baseline (what every processor of its kind has)",
                .choices = kSimdChoices},
    EnvVariable{.name = "INGOT_TUNE_DIR",
                .kind = EnvKind::text,
                .doc = "folder of the file that keeps which kernels --tune chose; unless set, "
                       "ingot in XDG_CACHE_HOME or in .cache of the home folder"},
};

std::string environment_value(const EnvVariable& variable) {
  const char* value = std::getenv(std::string(variable.name).c_str());
  return value == nullptr ? std::string() : std::string(value);
}

std::vector<std::string> to_strings(std::span<const std::string_view> names) {
  return {names.begin(), names.end()};
}

std::string join(std::span<const std::string_view> names) {
  std::string text;
  for (const std::string_view name : names) {
    text.append(text.empty() ? "" : ", ").append("\"").append(name).append("\"");
  }
  return text;
}

Error bad_value(const EnvVariable& variable, std::string_view rule, std::string_view value) {
  return user_error(
      ErrorCode::invalid_argument,
      fmt::format("environment variable \"{}\": {}, got \"{}\"", variable.name, rule, value));
}

std::size_t find_choice(const EnvVariable& variable, std::string_view value) {
  const auto found = std::find(variable.choices.begin(), variable.choices.end(), value);
  if (found != variable.choices.end()) {
    return static_cast<std::size_t>(found - variable.choices.begin());
  }
  Error error = bad_value(
      variable, fmt::format("{} must be one of {}", variable.choice_noun, join(variable.choices)),
      value);
  const std::string close = closest_names(value, to_strings(variable.choices));
  if (!close.empty()) error.help("did you mean " + close + "?");
  throw error;
}

}  // namespace

std::span<const EnvVariable> env_table() noexcept { return kTable; }

const EnvVariable& env_variable(std::string_view name) {
  for (const EnvVariable& variable : kTable) {
    if (variable.name == name) return variable;
  }
  throw internal_error(fmt::format("environment variable \"{}\": must be in the table", name));
}

std::int64_t parse_env_integer(const EnvVariable& variable, std::string_view value) {
  if (value.empty()) value = variable.default_value;
  std::int64_t number = 0;
  const auto [end, status] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (status != std::errc() || end != value.data() + value.size() || number < variable.low ||
      number > variable.high) {
    throw bad_value(variable,
                    fmt::format("must be an integer from {} to {}", variable.low, variable.high),
                    value);
  }
  return number;
}

bool parse_env_flag(const EnvVariable& variable, std::string_view value) {
  if (value.empty()) value = variable.default_value;
  if (value != "0" && value != "1") throw bad_value(variable, "must be 0 or 1", value);
  return value == "1";
}

std::size_t parse_env_choice(const EnvVariable& variable, std::string_view value) {
  return find_choice(variable, value.empty() ? variable.default_value : value);
}

EnvList parse_env_list(const EnvVariable& variable, std::string_view value) {
  if (value.empty()) value = variable.default_value;
  EnvList list;
  while (!value.empty()) {
    const std::string_view element = value.substr(0, value.find(','));
    value.remove_prefix(std::min(value.size(), element.size() + 1));
    const std::string_view name = element.substr(0, element.find(':'));
    const std::string_view rest = element.substr(std::min(element.size(), name.size() + 1));
    list.emplace_back(find_choice(variable, name), std::string(rest));
  }
  return list;
}

std::int64_t env_integer(std::string_view name) {
  const EnvVariable& variable = env_variable(name);
  return parse_env_integer(variable, environment_value(variable));
}

bool env_flag(std::string_view name) {
  const EnvVariable& variable = env_variable(name);
  return parse_env_flag(variable, environment_value(variable));
}

std::string env_text(std::string_view name) {
  const EnvVariable& variable = env_variable(name);
  const std::string value = environment_value(variable);
  return value.empty() ? std::string(variable.default_value) : value;
}

std::size_t env_choice(std::string_view name) {
  const EnvVariable& variable = env_variable(name);
  return parse_env_choice(variable, environment_value(variable));
}

EnvList env_list(std::string_view name) {
  const EnvVariable& variable = env_variable(name);
  return parse_env_list(variable, environment_value(variable));
}

void check_environment() {
  for (const EnvVariable& variable : kTable) {
    switch (variable.kind) {
      case EnvKind::integer: env_integer(variable.name); break;
      case EnvKind::flag: env_flag(variable.name); break;
      case EnvKind::choice: env_choice(variable.name); break;
      case EnvKind::list: env_list(variable.name); break;
      case EnvKind::text: break;
    }
  }
}

std::vector<UnknownEnvVariable> unknown_env_variables() {
  std::vector<std::string> known;
  for (const EnvVariable& variable : kTable) known.emplace_back(variable.name);
  std::vector<UnknownEnvVariable> unknown;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view line = *entry;
    if (!line.starts_with("INGOT_")) continue;
    const std::string_view name = line.substr(0, line.find('='));
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    unknown.push_back({std::string(name), closest_names(name, known)});
  }
  std::sort(unknown.begin(), unknown.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return unknown;
}

}  // namespace ingot
