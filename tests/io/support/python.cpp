#include "tests/io/support/python.h"

#include <cstdlib>

#include "tests/support/source_dir.h"

namespace ingot::testing_support {

std::string safetensors_python() {
  for (const std::string& python :
       {(source_dir() / "build/python/bin/python3").string(), std::string("python3")}) {
    const std::string probe = "'" + python + "' -c 'import safetensors.numpy' 2>/dev/null";
    if (std::system(probe.c_str()) == 0) return python;
  }
  return "";
}

}  // namespace ingot::testing_support
