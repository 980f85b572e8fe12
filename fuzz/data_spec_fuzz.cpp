// A data spec: what parses is written so that it parses to an equal spec.
#include "fuzz/fuzz.h"
#include "ingot/data/data_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ingot::fuzz::accepted([&] {
    const ingot::data::DataSpec spec =
        ingot::data::parse_data_spec(ingot::fuzz::text_of(data, size));
    ingot::fuzz::require(ingot::data::parse_data_spec(spec.to_string()) == spec,
                         "a spec changed on the way through its text");
  });
  return 0;
}
