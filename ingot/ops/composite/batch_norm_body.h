// What batch norm's records and bodies share. Channels are axis 1; statistics are over the others.
#pragma once

#include <cstdint>
#include <vector>

#include "ingot/ops/common.h"

namespace ingot {

std::vector<AttrSpec> batch_norm_attrs();
/// The rules that check_batch_norm cites; `per_channel` says which operands are [C].
std::vector<Constraint> batch_norm_constraints(std::string_view per_channel);
/// The same and C6, for ops whose statistics are the batch's.
std::vector<Constraint> batch_norm_training_constraints(std::string_view per_channel);
/// Checks x (operand 0), eps, and that the operands from `first` on are [C] and of one dtype, x's
/// or f32; returns their type.
TensorType check_batch_norm(const InferContext& ctx, std::size_t first);

/// Every axis but 1.
std::vector<std::int64_t> batch_norm_axes(const Shape& x);
/// Elements of a channel.
double batch_norm_count(const Shape& x);
/// v[C] as [1,C,1,...] of x's rank.
Value per_channel(Value v, const Shape& x);
/// 1 / sqrt(var + eps).
Value batch_norm_rstd(Value var, const Node& node);

/// gamma (x - mean) / sqrt(var + eps) + beta in gamma's dtype, given as x's.
Value batch_norm_apply(const Node& node, Value x, Value gamma, Value beta, Value mean, Value var);

/// Cost of reading every operand and writing every result once.
Cost batch_norm_cost(const Node& node);
/// Elements of a channel of operand 0.
std::int64_t batch_norm_reduction_length(const Node& node);

}  // namespace ingot
