// Any text: a valid Graph whose printed form reads back equal, or an Error; nothing else.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ingot/base/error.h"
#include "ingot/ir/parser.h"
#include "ingot/ir/printer.h"
#include "ingot/ir/verifier.h"
#include "ingot/ops/registry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto graph = ingot::parse_graph(text, ingot::all_ops());
    ingot::verify(*graph, "fuzz");
    const std::string printed = ingot::print_graph(*graph);
    if (ingot::print_graph(*ingot::parse_graph(printed, ingot::all_ops())) != printed) std::abort();
  } catch (const ingot::Error& error) {
    if (error.kind() == ingot::ErrorKind::internal) std::abort();
  }
  return 0;
}
