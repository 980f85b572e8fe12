// A scalar program in terms of tile operations.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "ingot/backends/cpu/tile_ops.h"
#include "ingot/ir/scalar.h"
#include "ingot/ir/target.h"

namespace ingot {

struct LoweredValue {
  enum class Kind : std::uint8_t { load, constant, op };
  Kind kind = Kind::op;
  Lane lane = Lane::f32;
  int operand = -1;                            // load
  alignas(8) std::array<std::byte, 8> bits{};  // constant, in its lane
  TileFn fn = nullptr;                         // op
  int arity = 0;
  std::array<int, 3> args{-1, -1, -1};
  double cost = 0;  // nanoseconds an element, roughly
};

struct LoweredOutput {
  int value;
  DType dtype;
};

struct LoweredProgram {
  Support support;
  std::vector<LoweredValue> values;  // in the order of evaluation; only what outputs need
  std::vector<LoweredOutput> outputs;
  bool keeps_zero = false;
};

/// `varies[i]`: operand i has the result's shape, so that padding reads it as zero.
LoweredProgram lower_scalar(const ScalarProgram& program, std::span<const DType> operand_types,
                            const std::vector<bool>& varies, std::span<const DType> output_types);

}  // namespace ingot
