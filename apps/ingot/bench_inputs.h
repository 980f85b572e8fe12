// What benchmarks feed, and how they compare what came out.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ingot/base/host_view.h"
#include "ingot/base/philox.h"
#include "ingot/base/philox_fill.h"
#include "ingot/base/thread_pool.h"
#include "ingot/engine/executable.h"
#include "ingot/memory/buffer.h"
#include "ingot/nn/models/models.h"
#include "ingot/train/kernel_cache.h"

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

/// Random images and labels in buffers larger than needed, as a caller's pool would have them: on
/// the host, or on a device that the host cannot address. Stacked for calls of several steps.
class Inputs {
 public:
  /// Makes the first call's buffers alone, so that the first step need not wait for the others.
  Inputs(const nn::ModelOptions& model, std::int64_t batch, std::shared_ptr<Device> device = {},
         int steps_per_call = 1)
      : steps_(steps_per_call),
        device_(device != nullptr && !device->host_visible() ? std::move(device) : nullptr),
        image_type_{DType::f32, {batch, model.channels, model.height, model.width}},
        label_type_{DType::i32, {batch}},
        classes_(static_cast<std::uint64_t>(model.classes)) {
    add();
  }
  void fill_all() {
    while (images_.size() < calls()) add();
  }
  /// Of device memory, after fill_all().
  [[nodiscard]] std::int64_t device_bytes() const {
    return on_device()
               ? static_cast<std::int64_t>(calls() * (image_elements() * sizeof(float) +
                                                      label_elements() * sizeof(std::int32_t)))
               : 0;
  }

  [[nodiscard]] bool on_device() const { return device_ != nullptr; }
  [[nodiscard]] std::string where() const { return on_device() ? "device" : "host"; }

  /// Call number `number` of a training step, or of a Graph that has no labels.
  void step(Executable& exe, std::int64_t number) const {
    const std::size_t b = buffer(number);
    exe.run_steps(steps_, {image(b), label(b)});
  }
  [[nodiscard]] std::vector<Feed> feeds(std::int64_t number) const {
    const std::size_t b = buffer(number);
    return {image(b), label(b)};
  }
  void infer(Executable& exe, std::int64_t number) const { exe.run({image(buffer(number))}); }

 private:
  [[nodiscard]] std::size_t calls() const {
    return static_cast<std::size_t>(std::max(1, kBuffers / steps_));
  }
  // Larger than needed.
  [[nodiscard]] std::size_t image_elements() const { return elements(image_type_) + 1024; }
  [[nodiscard]] std::size_t label_elements() const { return elements(label_type_) + 16; }
  [[nodiscard]] std::size_t elements(const TensorType& type) const {
    return static_cast<std::size_t>(type.numel() * steps_);
  }
  void add() {
    const int call = static_cast<int>(images_.size());
    images_.emplace_back(image_elements());
    labels_.emplace_back(label_elements());
    for (int k = 0; k < steps_; ++k) {
      fill(static_cast<std::uint32_t>((call * steps_ + k) % kBuffers), k);
    }
    if (device_ != nullptr) {
      upload(images_.back().data(), images_.back().size() * sizeof(float));
      upload(labels_.back().data(), labels_.back().size() * sizeof(std::int32_t));
    }
  }
  /// Batch `b` as step `k` of the newest buffers.
  void fill(std::uint32_t b, int k) {
    const auto pixels = static_cast<std::size_t>(image_type_.numel());
    const auto items = static_cast<std::size_t>(label_type_.numel());
    float* const x = images_.back().data() + static_cast<std::size_t>(k) * pixels;
    std::int32_t* const y = labels_.back().data() + static_cast<std::size_t>(k) * items;
    // Whoever trains has images to begin with: making these should not delay the first step.
    constexpr std::size_t kTask = std::size_t{1} << 16;
    ThreadPool threads(pixels > kTask ? default_thread_count() : 1);
    threads.parallel_for(static_cast<std::int64_t>((pixels + kTask - 1) / kTask),
                         [&](std::int64_t task, int) {
                           const std::size_t first = static_cast<std::size_t>(task) * kTask;
                           const std::span part(x + first, std::min(kTask, pixels - first));
                           philox_fill_uniform(part, 17, 2 * b, 0, first);
                           for (float& value : part) value = 2.0f * value - 1.0f;
                         });
    for (std::size_t i = 0; i < items; ++i) {
      y[i] = static_cast<std::int32_t>(philox_below(17, 2 * b + 1, 0, i, classes_));
    }
  }
  void upload(const void* data, std::size_t bytes) {
    buffers_.push_back(Buffer::allocate(device_, bytes, "bench input"));
    device_->copy_to_device(buffers_.back().data(), data, bytes);
  }
  [[nodiscard]] std::size_t buffer(std::int64_t number) const {
    return static_cast<std::size_t>(number) % images_.size();
  }
  [[nodiscard]] Feed image(std::size_t b) const {
    const void* data = on_device() ? buffers_[2 * b].data() : images_[b].data();
    return {"input", data, images_[b].size() * sizeof(float), stacked(image_type_), on_device()};
  }
  [[nodiscard]] Feed label(std::size_t b) const {
    const void* data = on_device() ? buffers_[2 * b + 1].data() : labels_[b].data();
    return {"target", data, labels_[b].size() * sizeof(std::int32_t), stacked(label_type_),
            on_device()};
  }
  [[nodiscard]] std::optional<TensorType> stacked(const TensorType& type) const {
    if (steps_ == 1) return std::nullopt;
    std::vector<std::int64_t> dims{steps_};
    dims.insert(dims.end(), type.shape.begin(), type.shape.end());
    return TensorType{type.dtype, Shape(dims)};
  }

  int steps_;
  std::shared_ptr<Device> device_;  ///< null: the host
  TensorType image_type_;
  TensorType label_type_;
  std::uint64_t classes_;
  std::vector<std::vector<float>> images_;
  std::vector<std::vector<std::int32_t>> labels_;
  std::vector<Buffer> buffers_;  ///< images and labels in turn
};

/// Writes what tuning chose; says so on stderr where it cannot be kept.
void keep_choices(train::KernelCache& cache);

/// Throws an internal Error when a distance is above the limit (or not a number).
void require_close(double distance, double limit, std::string_view what);

/// Image sizes and batch at which the slow reference backend can follow.
struct SmallProblem {
  nn::ModelOptions options;
  std::int64_t batch;
};
SmallProblem small_problem(const nn::ModelInfo& info);

}  // namespace ingot::cli
