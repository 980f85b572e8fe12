// Products and convolutions for tensor cores, with the layouts their operands have there, and what
// they must come to.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ingot/ir/graph.h"
#include "ingot/runtime/program.h"

namespace ingot {

enum class MmaKind : std::uint8_t { forward, input_grad, weight_grad, product };

struct MmaCase {
  std::string name;
  MmaKind kind;
  DType dtype;
  // Convolution: batch, channels, image, output channels, kernel, stride. Product: m, k, n.
  std::int64_t batch, in, image, out, kernel, stride;
  bool plain_input = false;
  bool transpose_a = false, transpose_b = false;
};

/// A value as the device keeps it, and what it stands for.
struct HostData {
  std::vector<std::byte> bytes;
  std::vector<double> values;  ///< logical order
};

/// The Node alone, with a slot for each of its Values and no Kernel.
Program program_of(const MmaCase& problem);
HostData random_data(const Value& value, std::uint64_t seed);
/// The largest error of sampled elements over the sum of their terms' magnitudes.
double largest_error(const MmaCase& p, const Node& node, const HostData& a, const HostData& b,
                     const std::vector<std::byte>& result);

/// The forward product of a convolution and its gradients; a `first` layer has no gradient of its
/// input, and takes plain images, too. Padding is half the kernel.
void add_conv(std::vector<MmaCase>& list, const std::string& name, DType dtype, std::int64_t batch,
              std::int64_t in, std::int64_t image, std::int64_t out, std::int64_t kernel,
              std::int64_t stride, bool first = false);
void add_linear(std::vector<MmaCase>& list, const std::string& name, DType dtype,
                std::int64_t batch, std::int64_t in, std::int64_t out);

}  // namespace ingot
