#include "ingot/base/fallback.h"

#include <cstdio>

#include "ingot/base/env.h"

namespace ingot {

void report_fallback(const Error& error) {
  constexpr std::size_t kError = 1;  // of the choices "warn", "error"
  if (env_choice("INGOT_FALLBACK") == kError) throw error;
  std::fprintf(stderr, "ingot fallback: %s\n", error.message().c_str());
}

}  // namespace ingot
