// The host's memory as a Device.
#pragma once

#include <memory>

#include "ingot/memory/device.h"

namespace ingot {

/// Allocations are aligned to 64 bytes; one that exceeds the machine's memory is refused, since an
/// overcommitting system would grant it and kill the process later. Its Streams execute each call
/// at once, so their Events are done when recorded; several threads may use one Stream.
std::shared_ptr<Device> make_host_device();

}  // namespace ingot
