// JSON text: what parses is written so that it parses to an equal value, and writing is stable.
#include "fuzz/fuzz.h"
#include "ingot/io/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using ingot::io::Json;
  Json value;
  if (!ingot::fuzz::accepted([&] { value = Json::parse(ingot::fuzz::text_of(data, size), "f"); })) {
    return 0;
  }
  const std::string text = value.dump();
  const Json again = Json::parse(text, "again");
  ingot::fuzz::require(again == value, "a value changed on the way through its text");
  ingot::fuzz::require(again.dump() == text, "equal values have different texts");
  ingot::fuzz::require(Json::parse(value.dump_pretty(), "pretty") == value,
                       "a value changed on the way through its indented text");
  return 0;
}
