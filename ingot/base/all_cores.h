// Tasks of a cold path, such as compilation, on as many threads as the machine has cores.
#pragma once

#include <cstddef>

#include "ingot/base/function_ref.h"

namespace ingot {

/// How many workers on_all_cores() has for so many tasks. Errors: those of default_thread_count().
int worker_count(std::size_t tasks);

/// Runs task(0, worker) ... task(tasks - 1, worker), each once, worker in [0, worker_count(tasks)),
/// 0 the caller. Throws what the first of them that failed threw, after all have ended.
void on_all_cores(std::size_t tasks, FunctionRef<void(std::size_t task, int worker)> task);

}  // namespace ingot
