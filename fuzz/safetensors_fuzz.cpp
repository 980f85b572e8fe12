// A safetensors file: what is accepted covers the data exactly and can be read.
#include "fuzz/fuzz.h"
#include "ingot/io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ingot::fuzz::accepted([&] {
    const ingot::io::SafetensorsFile file(std::as_bytes(std::span(data, size)), "f");
    std::size_t bytes = 0;
    for (const ingot::io::SafetensorsEntry& entry : file.entries()) {
      ingot::fuzz::require(entry.type.bytes() == static_cast<std::int64_t>(entry.bytes.size()),
                           "a tensor's size is not that of its type");
      ingot::fuzz::require(file.find(entry.name) == &entry, "a tensor is not found by its name");
      bytes += entry.bytes.size();
      ingot::fuzz::accepted([&] { (void)file.tensor(entry.name); });
    }
    ingot::fuzz::require(bytes <= size, "the tensors are larger than the file");
  });
  return 0;
}
