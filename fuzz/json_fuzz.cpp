// Any text: a value whose printed form reads back equal, or an Error; nothing else.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ingot/base/error.h"
#include "ingot/io/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto value = ingot::io::Json::parse(text, "fuzz");
    if (ingot::io::Json::parse(value.dump(), "dump") != value) std::abort();
    if (ingot::io::Json::parse(value.dump_pretty(), "dump") != value) std::abort();
  } catch (const ingot::Error& error) {
    if (error.kind() == ingot::ErrorKind::internal) std::abort();
  }
  return 0;
}
