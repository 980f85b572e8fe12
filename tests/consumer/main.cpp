// Uses the installed headers and library: one good answer and one error by its kind.
#include <cstdio>

#include "ingot/base/error.h"
#include "ingot/base/shape.h"

int main() {
  const ingot::Shape shape{32, 3, 32, 32};
  std::puts(shape.to_string().c_str());
  try {
    throw ingot::user_error(ingot::ErrorCode::invalid_argument, "consumer: it works, got an error");
  } catch (const ingot::Error& error) {
    std::puts(error.what());
  }
  return shape.numel() == 98304 ? 0 : 1;
}
