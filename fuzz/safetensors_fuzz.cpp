// Any bytes: tensors that lie within them and can be copied out, or an Error; nothing else.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "ingot/base/error.h"
#include "ingot/io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const ingot::io::SafetensorsFile file(bytes, "fuzz");
    for (const auto& entry : file.entries()) {
      const bool inside = entry.bytes.empty() ||
                          (entry.bytes.data() >= bytes.data() &&
                           entry.bytes.data() + entry.bytes.size() <= bytes.data() + bytes.size());
      if (!inside || entry.bytes.size() != static_cast<std::size_t>(entry.type.bytes())) {
        std::abort();
      }
      static_cast<void>(file.tensor(entry.name));
    }
  } catch (const ingot::Error& error) {
    if (error.kind() == ingot::ErrorKind::internal) std::abort();
  }
  return 0;
}
