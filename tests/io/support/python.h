// The Python that has the packages safetensors and numpy.
#pragma once

#include <string>

namespace ingot::testing_support {

/// The interpreter that scripts/setup.sh prepares, or the system's; empty when neither has them.
std::string safetensors_python();

}  // namespace ingot::testing_support
