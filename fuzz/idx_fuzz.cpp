// An IDX file; the first byte says of which rank.
#include "fuzz/fuzz.h"
#include "ingot/data/idx.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const int rank = 1 + data[0] % 8;
  ingot::fuzz::accepted([&] {
    const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
    const ingot::HostTensor tensor = ingot::data::parse_idx(bytes, rank, "f");
    ingot::fuzz::require(tensor.type().shape.rank() == rank && tensor.bytes().size() < size,
                         "the tensor is not the file's");
  });
  return 0;
}
