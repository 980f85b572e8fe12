// What variables begin with.
#pragma once

#include <cstdint>
#include <string_view>

#include "ingot/base/host_view.h"
#include "ingot/ir/graph.h"

namespace ingot {

class ThreadPool;

/// Writes a variable's start value: a function of (seed, name, element) alone. `threads` share the
/// work where they are given.
void write_initial_value(const HostView& out, const Initializer& init, std::string_view name,
                         std::uint64_t seed, ThreadPool* threads = nullptr);

}  // namespace ingot
