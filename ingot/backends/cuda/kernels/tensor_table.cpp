#include "ingot/backends/cuda/kernels/tensor_table.h"

#include <fmt/core.h>

namespace ingot::cuda {

TensorTable tensor_table(std::span<const std::int64_t> sizes, std::int64_t chunk) {
  TensorTable table;
  std::string firsts;
  std::string counts;
  for (const std::int64_t size : sizes) {
    firsts += fmt::format("{}, ", table.units);
    counts += fmt::format("{}, ", size);
    table.units += (size + chunk - 1) / chunk;
  }
  table.text = fmt::format(
      "static const int firsts[] = {{ {}{} }};\nstatic const i64 sizes[] = {{ {} }};\n"
      "int low = 0, high = {};\n"
      "while (high - low > 1) {{ const int mid = (low + high) / 2;\n"
      "if (firsts[mid] <= unit) low = mid; else high = mid; }}\n"
      "const i64 first = (i64)(unit - firsts[low]) * {}, size = sizes[low];\n",
      firsts, table.units, counts, sizes.size(), chunk);
  return table;
}

std::string table_pointer(const std::string& name, std::size_t tensors,
                          const std::function<int(std::size_t)>& slot_of) {
  std::string code = fmt::format("char* {};\nswitch (low) {{\n", name);
  for (std::size_t t = 0; t < tensors; ++t) {
    code += fmt::format("{}: {} = @{}@; break;\n",
                        t + 1 == tensors ? "default" : fmt::format("case {}", t), name, slot_of(t));
  }
  return code + "}\n";
}

}  // namespace ingot::cuda
