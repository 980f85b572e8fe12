// One stage over many tensors of one form: which tensor a block works on, and its pointers.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace ingot::cuda {

struct TensorTable {
  std::int64_t units = 0;
  /// Declares int low, the tensor of this unit; i64 first, its first element; i64 size, the
  /// tensor's elements.
  std::string text;
};
/// Cuts tensors of `sizes` elements into units of `chunk`.
TensorTable tensor_table(std::span<const std::int64_t> sizes, std::int64_t chunk);
/// `char* name`, the pointer of tensor `low`, whose slot is `slot_of(low)`.
std::string table_pointer(const std::string& name, std::size_t tensors,
                          const std::function<int(std::size_t)>& slot_of);

}  // namespace ingot::cuda
