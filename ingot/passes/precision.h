// Mixed precision as a rewrite of the user's f32 Graph, before gradients are added.
#pragma once

#include <memory>
#include <string_view>

#include "ingot/base/dtype.h"
#include "ingot/ir/graph.h"

namespace ingot {

/// What contractions (matmul, convolutions) compute in and activations are stored in. Variables
/// stay f32: they are the masters. Sums accumulate as each op's record says.
/// tf32 keeps f32 everywhere and lets contractions round their operands; backends without it
/// compute in f32, which is more exact.
enum class Precision : std::uint8_t { f32, tf32, bf16, f16 };

std::string_view precision_name(Precision precision) noexcept;
/// "fp16" is f16, too. Errors: an unknown name (user).
Precision parse_precision(std::string_view name);
DType compute_dtype(Precision precision) noexcept;

/// The Graph in another precision; with f32 a copy. With tf32 every contraction gets that math,
/// which its gradients keep. With bf16 and f16, f32 operands of contractions are cast; other
/// ops follow: when one operand is low, so become the other f32 ones, except `f32_operands` of the
/// record; ops of f32 operands alone (losses, statistics, schedules) stay f32. Fetches and assigned
/// values keep their types. The Graph must not hold gradients yet.
std::unique_ptr<Graph> apply_precision(const Graph& graph, Precision precision);

}  // namespace ingot
