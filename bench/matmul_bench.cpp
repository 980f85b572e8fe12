// Speed of every matrix product kernel on the shapes of the benchmark's nets, on one core; for
// comparison, that of oneDNN's sgemm where it is there. Processor time, best of several repeats.
#include <fmt/core.h>
#ifdef INGOT_HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.h>

#include <vector>

extern "C" void omp_set_num_threads(int threads);
#endif

#include "bench/fma_ceiling.h"
#include "bench/kernel_timer.h"
#include "ingot/ops/ops.h"
#include "tests/backends/support/node_harness.h"

namespace ingot {
namespace {

struct Case {
  std::int64_t m, n, k;
  bool transpose_a, transpose_b;
};

// Linear layers [out, in]: forward, input gradient, weight gradient.
std::vector<Case> cases() {
  std::vector<Case> cases;
  for (const auto& [batch, in, out] : std::vector<std::array<std::int64_t, 3>>{{32, 8, 2},
                                                                               {32, 64, 10},
                                                                               {32, 128, 64},
                                                                               {32, 784, 128},
                                                                               {32, 4096, 128},
                                                                               {64, 400, 120},
                                                                               {256, 512, 1000},
                                                                               {512, 2048, 1000}}) {
    cases.push_back({batch, out, in, false, true});
    cases.push_back({batch, in, out, false, false});
    cases.push_back({out, in, batch, true, false});
  }
  return cases;
}

#ifdef INGOT_HAVE_ONEDNN
double sgemm_seconds(const Case& test) {
  std::vector<float> a(static_cast<std::size_t>(test.m * test.k), 0.5F);
  std::vector<float> b(static_cast<std::size_t>(test.k * test.n), 0.25F);
  std::vector<float> c(static_cast<std::size_t>(test.m * test.n));
  return best_seconds([&] {
    dnnl_sgemm(test.transpose_a ? 'T' : 'N', test.transpose_b ? 'T' : 'N', test.m, test.n, test.k,
               1.0F, a.data(), test.transpose_a ? test.m : test.k, b.data(),
               test.transpose_b ? test.k : test.n, 0.0F, c.data(), test.n);
  });
}
#endif

void measure(const Case& test, const CpuBackend& backend, double ceiling) {
  Graph graph;
  const auto operand = [&](std::int64_t rows, std::int64_t columns, bool transposed) {
    return graph.placeholder(
        fmt::format("x{}", graph.size()),
        {DType::f32, transposed ? Shape{columns, rows} : Shape{rows, columns}});
  };
  const Node& node =
      *ops::matmul(operand(test.m, test.k, test.transpose_a),
                   operand(test.k, test.n, test.transpose_b), test.transpose_a, test.transpose_b)
           .node();
  const double flops = 2.0 * static_cast<double>(test.m * test.n * test.k);
  const auto print = [&](std::string_view kernel, double seconds) {
    fmt::print("{:5} x {:5} x {:5} {}{} {:10} {:9.2f} us {:7.1f} GFLOP/s {:4.0f} %\n", test.m,
               test.n, test.k, test.transpose_a ? 'T' : 'N', test.transpose_b ? 'T' : 'N', kernel,
               1e6 * seconds, 1e-9 * flops / seconds, 100 * flops / seconds / ceiling);
  };
  for (const KernelCandidate& candidate : backend.kernels().candidates("matmul")) {
    if (!candidate.supports(node, backend)) continue;
    NodeHarness harness(node, random_operands(node), backend, candidate.name);
    print(harness.kernel().name(), best_seconds([&] { harness.run(); }));
  }
#ifdef INGOT_HAVE_ONEDNN
  print("sgemm", sgemm_seconds(test));
#endif
}

}  // namespace
}  // namespace ingot

int main() {
#ifdef INGOT_HAVE_ONEDNN
  omp_set_num_threads(1);
#endif
  const ingot::CpuBackend backend({.threads = 1});
  const double ceiling = ingot::fma_ceiling();
  fmt::print("multiply-add ceiling of one core: {:.1f} GFLOP/s\n", 1e-9 * ceiling);
  for (const auto& test : ingot::cases()) ingot::measure(test, backend, ceiling);
  return 0;
}
