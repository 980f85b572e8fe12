// `ingot doctor`: what this machine has, what is missing and how to get it.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "apps/ingot/commands.h"
#include "apps/ingot/output.h"
#include "ingot/base/env.h"
#include "ingot/base/error.h"
#include "ingot/base/thread_pool.h"
#include "ingot/data/digits.h"
#include "ingot/data/gzip.h"
#include "ingot/data/jpeg.h"
#include "ingot/data/png.h"
#include "ingot/runtime/backend.h"

namespace ingot::cli {
namespace {

void print_fact(std::string_view what, std::string_view value) {
  print_line(fmt::format("  {:<20} {}", what, value));
}

/// What the processor calls itself, where the system says it.
std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

/// What a build or a machine may lack and run all the same.
using Missing = std::vector<std::string>;

void print_optional(std::string_view what, std::string_view value, Missing& missing) {
  print_fact(what, value);
  if (value.starts_with("missing")) missing.emplace_back(what);
}

/// Each returns how many things are wrong.
int print_devices(Missing& missing) {
  int problems = 0;
  for (const std::string& name : backend_names()) {
    try {
      const auto backend = make_backend(name);
      print_line(fmt::format("device {}:", name));
      for (const auto& [what, value] : backend->facts()) print_optional(what, value, missing);
    } catch (const Error& error) {
      // A machine without a GPU is whole all the same.
      const bool absent = error.kind() == ErrorKind::unsupported;
      problems += absent ? 0 : 1;
      print_line(
          fmt::format("device {}: {}\n  {}", name, absent ? "not here" : "broken", error.what()));
    }
  }
  return problems;
}

int print_environment() {
  print_line("environment:");
  for (const EnvVariable& variable : env_table()) {
    const std::string value = env_text(variable.name);
    print_fact(variable.name,
               fmt::format("{:<12} {}", value.empty() ? "(unset)" : value, variable.doc));
  }
  const auto unknown = unknown_env_variables();
  for (const UnknownEnvVariable& variable : unknown) {
    print_fact(variable.name, fmt::format("must be a variable of Ingot, got no such name{}{}",
                                          variable.candidates.empty() ? "" : "; did you mean ",
                                          variable.candidates));
  }
  return static_cast<int>(unknown.size());
}

/// Data that a user may have or not is no problem, only something to know.
void print_data() {
  print_line("data:");
  try {
    print_fact("digits", data::find_digits(data::usual_digits_files()).string());
  } catch (const Error&) {
    print_fact("digits", "not here; scripts/fetch_digits.sh gets it, or name a file: digits:FILE");
  }
  print_fact("others", "name their folders: mnist:DIR, cifar:DIR, folder:DIR");
}

}  // namespace

int run_doctor(const DoctorOptions&) {
  print_line("ingot " INGOT_VERSION);
  print_fact("processor", processor());
  print_fact("threads", std::to_string(default_thread_count()));
  print_fact("libpng", data::png_library_version());
  Missing missing;
  print_optional("libjpeg", data::jpeg_library_version(), missing);
  print_fact("zlib", data::zlib_library_version());
  int problems = print_devices(missing);
  print_data();
  problems += print_environment();
  if (!missing.empty()) {
    print_line(fmt::format("missing, each with its remedy above: {}", fmt::join(missing, ", ")));
  }
  if (problems > 0) print_line(fmt::format("{} problem(s)", problems));
  if (missing.empty() && problems == 0) print_line("nothing is missing");
  return problems == 0 ? kDone : kFailed;
}

}  // namespace ingot::cli
