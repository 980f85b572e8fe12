// What benchmarks feed, and how they compare what came out.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <vector>

#include "ingot/base/host_view.h"
#include "ingot/base/philox.h"
#include "ingot/engine/executable.h"
#include "ingot/nn/models/models.h"

namespace ingot::cli {

inline constexpr int kBuffers = 8;

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

/// Random images and labels in buffers larger than needed, as a caller's pool would have them.
class Inputs {
 public:
  /// Makes the first buffer alone, so that the first step need not wait for the others.
  Inputs(const nn::ModelOptions& model, std::int64_t batch) : model_(model), batch_(batch) {
    add(0);
  }
  void fill_all() {
    while (images_.size() < kBuffers) add(static_cast<std::uint32_t>(images_.size()));
  }

  /// Run `number` of a training step, or of a Graph that has no labels.
  void step(Executable& exe, std::int64_t number) const {
    const std::size_t b = buffer(number);
    exe.step(
        {image(b), {"target", labels_[b].data(), labels_[b].size() * sizeof(std::int32_t), {}}});
  }
  void infer(Executable& exe, std::int64_t number) const { exe.run({image(buffer(number))}); }

 private:
  void add(std::uint32_t b) {
    const auto pixels =
        static_cast<std::size_t>(batch_ * model_.channels * model_.height * model_.width);
    std::vector<float>& x = images_.emplace_back(pixels + 1024);
    for (std::size_t i = 0; i < pixels; ++i) {
      x[i] = 2.0f * philox_uniform(17, 2 * b, 0, i) - 1.0f;
    }
    const auto count = static_cast<std::size_t>(batch_);
    std::vector<std::int32_t>& y = labels_.emplace_back(count + 16);
    for (std::size_t i = 0; i < count; ++i) {
      y[i] = static_cast<std::int32_t>(
          philox_below(17, 2 * b + 1, 0, i, static_cast<std::uint64_t>(model_.classes)));
    }
  }
  [[nodiscard]] std::size_t buffer(std::int64_t number) const {
    return static_cast<std::size_t>(number) % images_.size();
  }
  [[nodiscard]] Feed image(std::size_t b) const {
    return {"input", images_[b].data(), images_[b].size() * sizeof(float), {}};
  }

  nn::ModelOptions model_;
  std::int64_t batch_;
  std::vector<std::vector<float>> images_;
  std::vector<std::vector<std::int32_t>> labels_;
};

/// |got - want| / |want| in the L2 norm; |got| where `want` is zero.
inline double relative_distance(const HostTensor& got, const HostTensor& want) {
  double difference = 0;
  double norm = 0;
  for (std::int64_t i = 0; i < got.type().numel(); ++i) {
    const double w = want.view().get(i);
    difference += (got.view().get(i) - w) * (got.view().get(i) - w);
    norm += w * w;
  }
  return norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
}

/// Throws an internal Error when a distance is above the limit (or not a number).
void require_close(double distance, double limit, std::string_view what);

/// Image sizes and batch at which the slow reference backend can follow.
struct SmallProblem {
  nn::ModelOptions options;
  std::int64_t batch;
};
SmallProblem small_problem(const nn::ModelInfo& info);

}  // namespace ingot::cli
