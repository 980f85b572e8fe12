// Matrix products against the record's reference kernel.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/backends/cpu/matmul_problem.h"
#include "ingot/backends/cpu/matmul_simd.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/ops.h"
#include "tests/backends/support/node_run.h"
#include "tests/support/guarded_memory.h"

namespace ingot {
namespace {

using cpu::MatmulProblem;
using cpu::MatmulSlices;

struct Sizes {
  std::int64_t m, n, k;
};

/// One product with each pair of transpose flags.
std::vector<Node*> products(Graph& graph, DType dtype, const std::vector<std::int64_t>& batch,
                            const Sizes& sizes) {
  std::vector<Node*> nodes;
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      const auto operand = [&](bool transpose, std::int64_t rows, std::int64_t columns) {
        Shape shape{batch};
        shape.push_back(transpose ? columns : rows);
        shape.push_back(transpose ? rows : columns);
        return graph.placeholder("x" + std::to_string(graph.size()), {dtype, shape});
      };
      nodes.push_back(ops::matmul(operand(transpose_a, sizes.m, sizes.k),
                                  operand(transpose_b, sizes.k, sizes.n), transpose_a, transpose_b)
                          .node());
    }
  }
  return nodes;
}

/// Ones, as many as fill memory that ends where none may be touched.
template <typename T>
struct Ones {
  GuardedMemory memory;
  T* data;

  explicit Ones(std::int64_t count)
      : memory(static_cast<std::size_t>(count) * sizeof(T)),
        data(reinterpret_cast<T*>(memory.data())) {
    std::fill_n(data, count, T(1));
  }
};

/// What another thread writes beside a block must stay, so that a store may not put back what a
/// load found there; the last row's end shows it.
template <typename T>
void expect_blocks_end_where_they_should() {
  const cpu::Gemm<T> gemm = cpu::gemm<T>();
  std::vector<T> panel(static_cast<std::size_t>(cpu::gemm_panel_size()));
  std::vector<T> row_panels(static_cast<std::size_t>(cpu::gemm_rows_size()));
  for (const std::int64_t m : {1, 4, 9, 33}) {
    for (std::int64_t n = 1; n <= 21; ++n) {
      for (const std::int64_t k : {1, 2, 3, 6, 530}) {
        SCOPED_TRACE(fmt::format("{} x {} x {}", m, n, k));
        const Ones<T> a(m * k), b(k * n), bias(n), c(m * n);
        const auto expect_all = [&](T value) {
          EXPECT_EQ(std::count(c.data, c.data + m * n, value), m * n);
        };
        cpu::GemmArgs<T> args{.a = a.data,
                              .b = b.data,
                              .c = c.data,
                              .m = m,
                              .n = n,
                              .k = k,
                              .lda = k,
                              .ldb = n,
                              .ldc = n,
                              .panel = panel.data(),
                              .row_panels = row_panels.data()};
        gemm.plain(args);
        expect_all(static_cast<T>(k));
        gemm.finish({.c = c.data, .m = m, .n = n, .ldc = n, .bias = bias.data, .relu = true});
        expect_all(static_cast<T>(k + 1));
        gemm.panels(args);
        expect_all(static_cast<T>(k));
        args.transpose_a = true;
        args.lda = m;
        for (const auto product : {gemm.plain, gemm.panels}) {
          std::fill_n(c.data, m * n, T(0));
          product(args);
          expect_all(static_cast<T>(k));
        }
        args.transpose_a = false;
        args.lda = k;
        args.transpose_b = true;
        args.ldb = k;
        gemm.finish({.c = c.data, .m = m, .n = n, .ldc = n, .bias = bias.data});
        gemm.dots(args);
        expect_all(static_cast<T>(k));
      }
    }
  }
}

TEST(Matmul, BlocksEndWhereTheyShould) {
  expect_blocks_end_where_they_should<float>();
  expect_blocks_end_where_they_should<double>();
}

TEST(Matmul, EveryCandidateMatchesTheReferenceWithAnyNumberOfThreads) {
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  const std::vector<Sizes> sizes{{1, 1, 1},      {32, 2, 8},   {32, 10, 64},   {7, 5, 3},
                                 {32, 128, 784}, {64, 64, 32}, {33, 97, 1030}, {5, 200, 17},
                                 {130, 49, 40},  {10, 64, 32}, {1, 300, 70},   {300, 1, 70},
                                 {135, 100, 20}};
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Sizes& size : sizes) {
      Graph graph;
      for (const Node* node : products(graph, dtype, {}, size)) {
        SCOPED_TRACE(node->input_type(0).to_string() + " by " + node->input_type(1).to_string());
        for (const KernelCandidate& candidate : one.kernels().candidates("matmul")) {
          if (!candidate.supports(*node, one)) continue;
          const NodeRun run = expect_matches_reference(*node, one, candidate.name);
          const NodeRun again = run_node(*node, random_operands(*node), two, candidate.name);
          EXPECT_EQ(run.outputs, again.outputs) << "1 and 2 threads differ";
        }
      }
    }
  }
}

TEST(Matmul, SlicesAreWholeRowsWhereBIsNear) {
  constexpr std::int64_t kCache = 1 << 20;
  const auto slices = [](std::int64_t m, std::int64_t n, std::int64_t k) {
    const MatmulProblem problem{.m = m, .n = n, .k = k};
    return MatmulSlices(problem, 8, 4, kCache);
  };
  // A weight's gradient from a small batch: a slice's rows stay in the first-level cache.
  EXPECT_EQ(slices(128, 784, 32).rows, 8);
  EXPECT_TRUE(slices(128, 784, 32).enough);
  // b outgrows the cache: more rows each time that it is read.
  EXPECT_EQ(slices(4096, 1024, 1024).rows, 128);
  EXPECT_EQ(slices(256, 1024, 1024).rows, 32);
  EXPECT_TRUE(slices(256, 1024, 1024).enough);
  // A few rows: cutting the columns is better.
  EXPECT_FALSE(slices(8, 1024, 1024).enough);
  EXPECT_FALSE(slices(32, 4096, 4096).enough);
}

TEST(Matmul, TakesBatchesAndEmptySums) {
  const CpuBackend backend({.threads = 2});
  Graph graph;
  for (const Node* node : products(graph, DType::f32, {2, 3}, {5, 6, 7})) {
    expect_matches_reference(*node, backend);
  }
  for (const Node* node : products(graph, DType::f32, {9}, {40, 50, 60})) {
    expect_matches_reference(*node, backend);
  }
  for (const Node* node : products(graph, DType::f32, {}, {4, 3, 0})) {
    expect_matches_reference(*node, backend);
  }
  for (const Node* node : products(graph, DType::f32, {}, {0, 3, 4})) {
    expect_matches_reference(*node, backend);
  }
}

TEST(Matmul, RefusesWhatItCannotDoWithAReason) {
  const CpuBackend backend({.threads = 1});
  Graph graph;
  const Node* node = products(graph, DType::f16, {}, {4, 3, 2})[0];
  EXPECT_EQ(backend.supports(*node).reason,
            "direct: takes f32 and f64, got f16; panels: takes f32 and f64, got f16");
}

}  // namespace
}  // namespace ingot
