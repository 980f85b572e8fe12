// cuBLASLt's products for convolutions of 1x1, found at run time.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "ingot/backends/cuda/conv_library.h"

namespace ingot::cuda {

class LtHandle;

/// Why cuBLASLt cannot be used; empty when it can.
const std::string& cublaslt_trouble();
/// Errors: internal, with what the library said.
std::shared_ptr<LtHandle> make_lt_handle();

/// Whether the problem is a product of matrices: 1x1, stride 1, no padding, channels innermost.
bool is_product(const ConvProblem& problem);

/// At most `most` algorithms by the library's heuristics, best first; none where it has none. They
/// sum in a fixed order, in f32. Errors: internal.
std::vector<std::unique_ptr<ConvCall>> product_calls(const std::shared_ptr<LtHandle>& handle,
                                                     const ConvProblem& problem, int most);

}  // namespace ingot::cuda
