// Something slower stands in for what was wanted: never in silence.
#pragma once

#include "ingot/base/error.h"

namespace ingot {

/// With INGOT_FALLBACK=error throws `error`, which says what was wanted and what is missing; else
/// writes it to stderr as one line. Errors: user, when INGOT_FALLBACK has another value than
/// "warn".
void report_fallback(const Error& error);

}  // namespace ingot
