// The one table of environment variables.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ingot {

enum class EnvKind : std::uint8_t {
  integer,  ///< an integer within [low, high]
  flag,     ///< 0 or 1
  choice,   ///< one of the choices
  list,     ///< comma-separated choices, each with an optional ":text"
  text,
};

/// One environment variable that Ingot reads. An unset or empty variable has the default.
struct EnvVariable {
  std::string_view name;
  EnvKind kind = EnvKind::text;
  std::string_view default_value = {};
  std::string_view doc = {};
  std::span<const std::string_view> choices = {};
  /// What the error calls an element of `choices`, e.g. "channel".
  std::string_view choice_noun = "value";
  std::int64_t low = 0;
  std::int64_t high = 0;
};

/// Every variable, in the order of the documentation.
std::span<const EnvVariable> env_table() noexcept;

/// The row of a variable; an internal Error when the table lacks it.
const EnvVariable& env_variable(std::string_view name);

// The getters read the environment at each call and throw a user Error for a malformed value:
// `environment variable "INGOT_THREADS": must be an integer from 0 to 1024, got "two"`.
std::int64_t env_integer(std::string_view name);
bool env_flag(std::string_view name);
std::string env_text(std::string_view name);
/// Index into the row's choices.
std::size_t env_choice(std::string_view name);
/// (index into the row's choices, text after the colon) of each element.
using EnvList = std::vector<std::pair<std::size_t, std::string>>;
EnvList env_list(std::string_view name);

// The same for a given value instead of the environment's; an empty one means the default.
std::int64_t parse_env_integer(const EnvVariable& variable, std::string_view value);
bool parse_env_flag(const EnvVariable& variable, std::string_view value);
std::size_t parse_env_choice(const EnvVariable& variable, std::string_view value);
EnvList parse_env_list(const EnvVariable& variable, std::string_view value);

/// Throws the first malformed value's user Error. Entry points call it before any work.
void check_environment();

struct UnknownEnvVariable {
  std::string name;
  /// Close names as `"a", "b"`; empty when none is close.
  std::string candidates;
};

/// Variables called INGOT_* that the table lacks, sorted by name.
std::vector<UnknownEnvVariable> unknown_env_variables();

}  // namespace ingot
