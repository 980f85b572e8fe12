// Builder functions: one signature an op. Each adds one Node to its operands' Graph and throws
// Error (user) when the operands break one of the op's constraints.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ingot/ir/graph.h"

namespace ingot::ops {

/// Any elementwise op by its name in the registry: `elementwise("relu", {x})`. Operands broadcast
/// as NumPy's do.
Value elementwise(std::string_view name, std::vector<Value> operands,
                  SourceLocation loc = SourceLocation::current());
/// One Node for every instruction of the program, applied to `operands`; returns its outputs.
std::vector<Value> build_scalar(const ScalarProgram& program, std::span<const Value> operands,
                                SourceLocation loc = SourceLocation::current());

Value neg(Value x, SourceLocation loc = SourceLocation::current());
Value abs(Value x, SourceLocation loc = SourceLocation::current());
Value exp(Value x, SourceLocation loc = SourceLocation::current());
Value log(Value x, SourceLocation loc = SourceLocation::current());
Value sqrt(Value x, SourceLocation loc = SourceLocation::current());
Value rsqrt(Value x, SourceLocation loc = SourceLocation::current());
Value tanh(Value x, SourceLocation loc = SourceLocation::current());
Value cos(Value x, SourceLocation loc = SourceLocation::current());
Value sigmoid(Value x, SourceLocation loc = SourceLocation::current());
Value relu(Value x, SourceLocation loc = SourceLocation::current());
Value add(Value a, Value b, SourceLocation loc = SourceLocation::current());
Value sub(Value a, Value b, SourceLocation loc = SourceLocation::current());
Value mul(Value a, Value b, SourceLocation loc = SourceLocation::current());
Value div(Value a, Value b, SourceLocation loc = SourceLocation::current());
Value pow(Value a, Value b, SourceLocation loc = SourceLocation::current());
Value minimum(Value a, Value b, SourceLocation loc = SourceLocation::current());
Value maximum(Value a, Value b, SourceLocation loc = SourceLocation::current());
/// condition ? a : b, per element.
Value select(Value condition, Value a, Value b, SourceLocation loc = SourceLocation::current());

/// NumPy broadcasting to `shape`.
Value broadcast_to(Value x, const Shape& shape, SourceLocation loc = SourceLocation::current());

/// The same elements under another shape; one -1 is inferred.
Value reshape(Value x, const Shape& shape, SourceLocation loc = SourceLocation::current());

/// Sum over `axes` (negative ones count from the end; empty: all).
Value sum(Value x, std::vector<std::int64_t> axes, bool keep_dims = false,
          SourceLocation loc = SourceLocation::current());
/// Sums a gradient down to the shape that was broadcast to its shape.
Value sum_to(Value x, const Shape& shape);

}  // namespace ingot::ops
