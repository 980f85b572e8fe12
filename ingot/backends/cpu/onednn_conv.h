// oneDNN's convolutions: created once with one thread, run on slices of images by Ingot's threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ingot/backends/cpu/conv_problem.h"

namespace ingot::cpu::onednn {

/// What happens to the output while it is in registers.
struct ConvEpilogue {
  bool bias = false;
  bool relu = false;
};

/// Layout tags as ir/layout.h writes them ("plain", "aBcd16b"); weights "any": oneDNN's choice.
struct ConvLayouts {
  std::string x = "plain";
  std::string w = "any";
  std::string y = "plain";
};

/// One JIT-compiled convolution for a fixed number of images. Every worker has its own argument
/// handles, so that workers may run it at the same time, each with its own scratch.
class ConvPrimitive {
 public:
  /// The weights' layout that oneDNN takes for these activations, or "" when it has no generated
  /// code for them. Cheap: generates none.
  static std::string choose_weights(const ConvProblem& problem, ConvKind kind,
                                    const ConvLayouts& layouts);
  /// Null where choose_weights gives "".
  static std::unique_ptr<ConvPrimitive> make(const ConvProblem& problem, ConvKind kind,
                                             const ConvLayouts& layouts,
                                             const ConvEpilogue& epilogue, int workers);
  ~ConvPrimitive();
  ConvPrimitive(const ConvPrimitive&) = delete;
  ConvPrimitive& operator=(const ConvPrimitive&) = delete;

  /// Tag of the weights' layout.
  [[nodiscard]] const std::string& weights_layout() const noexcept { return weights_layout_; }
  /// oneDNN's name of the code it generated: "jit:avx512_core".
  [[nodiscard]] const std::string& implementation() const noexcept { return implementation_; }
  /// For each worker; a multiple of 64.
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept { return scratch_bytes_; }

  struct Args {
    float* x = nullptr;
    float* w = nullptr;
    const float* bias = nullptr;
    float* y = nullptr;
    std::byte* scratch = nullptr;
  };
  /// False when oneDNN reports a failure.
  bool run(int worker, const Args& args) noexcept;

 private:
  struct Impl;
  explicit ConvPrimitive(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
  std::string weights_layout_;
  std::string implementation_;
  std::int64_t scratch_bytes_ = 0;
};

}  // namespace ingot::cpu::onednn
