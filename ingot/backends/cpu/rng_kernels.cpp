// Random numbers, element by element as base/philox.h defines them; a block serves four.
#include <algorithm>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/parallel.h"
#include "ingot/base/host_view.h"
#include "ingot/base/philox.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot {
namespace {

enum class Distribution : std::uint8_t { uniform, normal, bernoulli };

struct Stream {
  std::uint64_t seed;
  std::uint32_t stream;
  std::uint64_t step;
};

class RngKernel final : public Kernel {
 public:
  RngKernel(const KernelProblem& problem, const CpuBackend& backend, Distribution distribution)
      : pool_(backend.pool()),
        inputs_(problem.inputs),
        output_(problem.outputs[0]),
        distribution_(distribution),
        type_(problem.node.output_type()),
        stream_(static_cast<std::uint32_t>(problem.node.integer("stream"))) {
    const Node& node = problem.node;
    if (distribution == Distribution::uniform) {
      a_ = node.attr<double>("low");
      b_ = node.attr<double>("high") - a_;
    } else if (distribution == Distribution::normal) {
      a_ = node.attr<double>("mean");
      b_ = node.attr<double>("std");
    } else {
      threshold_ = philox_bernoulli_threshold(node.attr<double>("probability"));
    }
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "simd-rng"; }

  void run(const KernelContext& context) noexcept override {
    const Stream stream{*context.at<const std::uint64_t>(inputs_[0]), stream_,
                        *context.at<const std::uint64_t>(inputs_[1])};
    const std::int64_t n = type_.numel();
    const double each = distribution_ == Distribution::normal ? 25.0 : 6.0;
    parallel_ranges(pool_, n, 4, each * static_cast<double>(n),
                    [&](std::int64_t begin, std::int64_t end, int) {
                      fill(context.slots[output_], stream, begin, end);
                    });
  }

 private:
  void fill(std::byte* data, const Stream& s, std::int64_t begin, std::int64_t end) const noexcept {
    const HostView out{type_, data};
    for (std::int64_t i = begin; i < end; i += 4) {
      const std::int64_t count = std::min<std::int64_t>(4, end - i);
      std::array<double, 4> values{};
      const PhiloxBlock words =
          philox_block(s.seed, s.stream, s.step, static_cast<std::uint64_t>(i) / 4);
      for (std::int64_t k = 0; k < count; ++k) {
        values[static_cast<std::size_t>(k)] = value(words, s, i, static_cast<std::size_t>(k));
      }
      if (type_.dtype == DType::f32) {
        auto* to = reinterpret_cast<float*>(data) + i;
        for (std::int64_t k = 0; k < count; ++k) {
          to[k] = static_cast<float>(values[static_cast<std::size_t>(k)]);
        }
      } else {
        for (std::int64_t k = 0; k < count; ++k) {
          out.set(i + k, values[static_cast<std::size_t>(k)]);
        }
      }
    }
  }

  [[nodiscard]] double value(const PhiloxBlock& words, const Stream& s, std::int64_t first,
                             std::size_t k) const noexcept {
    switch (distribution_) {
      case Distribution::uniform:
        if (type_.dtype == DType::f64) {
          const auto index = static_cast<std::uint64_t>(first) + k;
          return a_ + b_ * philox_uniform_f64(s.seed, s.stream, s.step, index);
        }
        return a_ + b_ * static_cast<double>(philox_to_uniform(words[k]));
      case Distribution::normal: {
        const auto [cosine, sine] = philox_box_muller(words[k / 2 * 2], words[k / 2 * 2 + 1]);
        return a_ + b_ * (k % 2 == 0 ? cosine : sine);
      }
      case Distribution::bernoulli: break;
    }
    return (words[k] >> 8) < threshold_ ? 1.0 : 0.0;
  }

  ThreadPool& pool_;
  std::vector<int> inputs_;
  int output_;
  Distribution distribution_;
  TensorType type_;
  std::uint32_t stream_;
  double a_ = 0;
  double b_ = 1;
  std::uint32_t threshold_ = 0;
};

}  // namespace

void register_rng_kernels(KernelTable& table) {
  const auto add = [&](std::string_view op, Distribution distribution) {
    table.register_kernel(
        op, {.name = "simd",
             .supports = require_plain,
             .create = [distribution](const KernelProblem& problem, const Backend& backend) {
               return std::make_unique<RngKernel>(problem, as_cpu(backend), distribution);
             }});
  };
  add("rng_uniform", Distribution::uniform);
  add("rng_normal", Distribution::normal);
  add("rng_bernoulli", Distribution::bernoulli);
}

}  // namespace ingot
