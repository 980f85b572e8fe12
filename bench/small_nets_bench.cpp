// Training steps of small random networks.
//
//   small_nets_bench list COUNT        their descriptions, one JSON object a line
//   small_nets_bench run SEED [SECONDS]   steps a second of one, in its own batch, as JSON
//   small_nets_bench chain DEPTH WIDTH BATCH [SECONDS]   the same for DEPTH 3x3 convolutions of
//                                                        WIDTH channels on 32x32 images
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "ingot/engine/compile.h"
#include "tests/bench/support/small_nets.h"

namespace ingot::small_nets {
namespace {

constexpr std::uint32_t kBuffers = 8;
constexpr int kRepeats = 5;

/// A net whose size is a parameter.
Net chain_net(std::int64_t depth, std::int64_t width, std::int64_t batch) {
  Net net{0, batch, 3, 32, 10, {}, "labels", "sgd"};
  for (std::int64_t i = 0; i < depth; ++i) {
    net.layers.push_back({"conv", i == 0 ? net.channels : width, width, 3, 1, 1});
    net.layers.push_back({"relu"});
  }
  net.layers.push_back({"global_pool"});
  net.layers.push_back({"flatten"});
  net.layers.push_back({"linear", width, net.classes});
  return net;
}

void run(const Net& net, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  VariableStore store(make_backend("cpu"), 1);
  Executable exe = compile(train_graph(net, net.batch), store);
  std::vector<Batch> data;
  for (std::uint32_t b = 0; b < kBuffers; ++b) data.emplace_back(net, net.batch, b);
  std::size_t number = 0;
  const auto step = [&] { data[number++ % kBuffers].step(exe); };
  const auto warm = Clock::now();
  while (number < 2 || since(warm) < 0.1) step();
  const double rate = static_cast<double>(number) / since(warm);
  const auto steps = std::max<std::int64_t>(1, static_cast<std::int64_t>(rate * seconds));
  std::vector<double> rates;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const auto start = Clock::now();
    for (std::int64_t i = 0; i < steps; ++i) step();
    rates.push_back(static_cast<double>(steps) / since(start));
  }
  std::sort(rates.begin(), rates.end());
  const double loss = exe.fetched("loss").view().get(0);
  fmt::print("{}\n", io::Json::object({{"seed", net.seed},
                                       {"steps_per_second", rates[rates.size() / 2]},
                                       {"kernels", exe.stats().kernels},
                                       {"loss", std::isfinite(loss) ? io::Json(loss) : io::Json()}})
                         .dump());
}

}  // namespace
}  // namespace ingot::small_nets

int main(int argc, char** argv) {
  using namespace ingot::small_nets;
  const std::string_view what = argc > 2 ? argv[1] : "";
  if (what == "list") {
    for (int seed = 0; seed < std::atoi(argv[2]); ++seed) {
      fmt::print("{}\n", to_json(make_net(static_cast<std::uint64_t>(seed))).dump());
    }
    return 0;
  }
  if (what == "chain" && argc > 4) {
    run(chain_net(std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4])),
        argc > 5 ? std::atof(argv[5]) : 0.2);
    return 0;
  }
  if (what == "run") {
    run(make_net(static_cast<std::uint64_t>(std::atoi(argv[2]))),
        argc > 3 ? std::atof(argv[3]) : 0.2);
    return 0;
  }
  fmt::print(stderr,
             "usage: small_nets_bench list COUNT | run SEED [SECONDS] | chain DEPTH WIDTH BATCH "
             "[SECONDS]\n");
  return 2;
}
