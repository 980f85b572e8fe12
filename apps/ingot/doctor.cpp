// `ingot doctor`: what this machine has, what is missing and how to get it.
#include <cstdio>
#include <string>

#include "apps/ingot/commands.h"
#include "ingot/base/env.h"
#include "ingot/base/error.h"
#include "ingot/base/thread_pool.h"
#include "ingot/runtime/backend.h"

namespace ingot::cli {

int run_doctor(const DoctorOptions&) {
  int problems = 0;
  std::printf("threads: %d\n", default_thread_count());
  for (const std::string& name : backend_names()) {
    try {
      const auto backend = make_backend(name);
      std::printf("device %s:\n", name.c_str());
      for (const auto& [what, value] : backend->facts()) {
        std::printf("  %-20s %s\n", what.c_str(), value.c_str());
      }
    } catch (const Error& error) {
      ++problems;
      std::printf("device %s: missing\n  %s\n", name.c_str(), error.what());
    }
  }
  std::printf("environment:\n");
  for (const EnvVariable& variable : env_table()) {
    const std::string value = env_text(variable.name);
    std::printf("  %-20s %-12s %s\n", std::string(variable.name).c_str(),
                value.empty() ? "(unset)" : value.c_str(), std::string(variable.doc).c_str());
  }
  for (const UnknownEnvVariable& unknown : unknown_env_variables()) {
    ++problems;
    std::printf("  %-20s is not a variable of Ingot%s%s\n", unknown.name.c_str(),
                unknown.candidates.empty() ? "" : "; did you mean ", unknown.candidates.c_str());
  }
  std::printf(problems == 0 ? "nothing is missing\n" : "%d problem(s)\n", problems);
  return problems == 0 ? 0 : 1;
}

}  // namespace ingot::cli
