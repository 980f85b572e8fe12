#include "ingot/backends/cpu/matmul_problem.h"

#include <algorithm>

#include "ingot/base/planted_bug.h"

namespace ingot::cpu {
namespace {

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// A task of 200,000 flops outweighs what it costs to hand it to a thread that is awake, and keeps
/// it awake for the next ones.
std::int64_t tasks_of_a_product(const MatmulProblem& problem) {
  const double products = std::max(static_cast<double>(problem.batch), 1.0);
  const double most = std::min(problem.flops() / 2e5, 32.0) / products;
  return std::max<std::int64_t>(static_cast<std::int64_t>(most), 1);
}

}  // namespace

MatmulProblem MatmulProblem::of(const Node& node) {
  const Shape& a = node.input_type(0).shape;
  const Shape& c = node.output_type().shape;
  const int rank = c.rank();
  MatmulProblem problem;
  problem.transpose_a = node.attr<bool>("transpose_a");
  problem.transpose_b = node.attr<bool>("transpose_b");
  for (int axis = 0; axis < rank - 2; ++axis) problem.batch *= c[axis];
  problem.m = c[rank - 2];
  problem.n = c[rank - 1];
  problem.k = a[problem.transpose_a ? rank - 2 : rank - 1];
  if (planted_bug() == PlantedBug::transposed_weight && problem.n == problem.k) {
    problem.transpose_b = !problem.transpose_b;
  }
  return problem;
}

MatmulTasks::MatmulTasks(const MatmulProblem& problem, std::int64_t row_step,
                         std::int64_t column_step)
    : rows(std::max<std::int64_t>(problem.m, 1)), columns(std::max<std::int64_t>(problem.n, 1)) {
  std::int64_t tasks = tasks_of_a_product(problem);
  const auto cut = [](std::int64_t size, std::int64_t step, std::int64_t parts) {
    return divide_up(divide_up(size, step), parts) * step;
  };
  // Along the longer side first: each task reads the other operand whole.
  const std::int64_t along_rows = std::min(tasks, divide_up(problem.m, row_step));
  const std::int64_t along_columns = std::min(tasks, divide_up(problem.n, column_step));
  if (problem.n >= problem.m) {
    columns = cut(columns, column_step, std::max<std::int64_t>(along_columns, 1));
    column_blocks = divide_up(std::max<std::int64_t>(problem.n, 1), columns);
    tasks = std::min(tasks / column_blocks, along_rows);
    if (tasks > 1) rows = cut(rows, row_step, tasks);
    row_blocks = divide_up(std::max<std::int64_t>(problem.m, 1), rows);
  } else {
    rows = cut(rows, row_step, std::max<std::int64_t>(along_rows, 1));
    row_blocks = divide_up(problem.m, rows);
    tasks = std::min(tasks / row_blocks, along_columns);
    if (tasks > 1) columns = cut(columns, column_step, tasks);
    column_blocks = divide_up(std::max<std::int64_t>(problem.n, 1), columns);
  }
}

MatmulSlices::MatmulSlices(const MatmulProblem& problem, std::int64_t row_step,
                           std::int64_t element_bytes, std::int64_t cache_bytes) {
  // With this many rows the arithmetic hides the reading of b, from the second-level cache or from
  // beyond.
  const bool near = 2 * problem.k * problem.n * element_bytes <= cache_bytes;
  const std::int64_t least = near ? row_step : 4 * row_step;
  const std::int64_t m = std::max<std::int64_t>(problem.m, 1);
  const std::int64_t tasks = tasks_of_a_product(problem);
  rows = std::max(divide_up(divide_up(m, tasks), row_step) * row_step, least);
  row_blocks = divide_up(m, rows);
  enough = 2 * row_blocks >= tasks || count(problem) >= 8;
}

MatmulBlock matmul_block(const MatmulProblem& problem, const MatmulSlices& slices,
                         std::int64_t slice) {
  const std::int64_t m = slice % slices.row_blocks * slices.rows;
  return {slice / slices.row_blocks, m, 0, std::min(slices.rows, problem.m - m), problem.n};
}

MatmulBlock matmul_block(const MatmulProblem& problem, const MatmulTasks& tasks,
                         std::int64_t task) {
  const std::int64_t m = task / tasks.column_blocks % tasks.row_blocks * tasks.rows;
  const std::int64_t n = task % tasks.column_blocks * tasks.columns;
  return {task / (tasks.column_blocks * tasks.row_blocks), m, n,
          std::min(tasks.rows, problem.m - m), std::min(tasks.columns, problem.n - n)};
}

}  // namespace ingot::cpu
