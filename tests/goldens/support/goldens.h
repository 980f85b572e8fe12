// Golden values from PyTorch, written by make_goldens.py.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "ingot/io/safetensors.h"
#include "ingot/ir/evaluate.h"

namespace ingot::testing_support {

/// The tensors of one case.
struct Golden {
  const io::SafetensorsFile* file;
  std::string prefix;  ///< "conv2d.stride"

  [[nodiscard]] HostTensor tensor(const std::string& what) const;
  /// A tensor of numbers that are not data.
  [[nodiscard]] std::vector<std::int64_t> integers(const std::string& what) const;
  [[nodiscard]] std::vector<double> reals(const std::string& what) const;
};

/// Calls fn with each case of a kind; fails when there is none.
void for_each_golden(const std::string& file, const std::string& kind,
                     const std::function<void(const Golden&)>& fn);

/// Expects |got - want| <= bound (1 + |want|) everywhere.
void expect_close(const HostTensor& got, const HostTensor& want, const std::string& what,
                  double bound = 1e-11);

/// An input whose gradient is checked: its name in the golden ("x") and that of its gradient.
using GoldenInput = std::pair<std::string, std::string>;

/// Builds y from f64 placeholders of the inputs and of `others`, and expects the golden's y and,
/// for y's gradient g, the inputs' gradients.
void check_forward_and_backward(
    const Golden& golden, const std::vector<GoldenInput>& inputs,
    const std::vector<std::string>& others,
    const std::function<Value(const std::vector<Value>& inputs, const std::vector<Value>& others)>&
        build);

}  // namespace ingot::testing_support
