// The backend that runs the records' reference kernels: slow, obvious, the judge of the others.
#pragma once

#include <memory>

#include "ingot/runtime/backend.h"

namespace ingot {

std::shared_ptr<Backend> make_reference_backend(const BackendOptions& options);

}  // namespace ingot
