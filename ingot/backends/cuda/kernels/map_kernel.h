// Kernels that compute every element of their results by itself.
#pragma once

#include <string>
#include <string_view>

#include "ingot/backends/cuda/kernels/cuda_kernel.h"
#include "ingot/backends/cuda/kernels/element.h"

namespace ingot::cuda {

/// Appends code for one element of the producer's first output at `place` (all names known) and
/// returns its variable.
using ElementSource = std::string (*)(std::string& code, const Node& producer, const Region& region,
                                      const Place& place);

/// A Node with such a source gets a kernel, alone and with an epilogue.
void register_element_source(KernelTable& table, std::string_view op, ElementSource source);
/// Null when the op has none.
ElementSource element_source(const OpDef& op);
/// The stages of results that need no reduction. `results` are positions in region.results.
std::vector<Stage> map_stages(const StageRequest& request, const CudaKernel& kernel,
                              const Region& region, std::span<const int> results);
/// `@3@`-pointer of the producer's operand, or a constant that get() takes like one.
std::string operand_pointer(const Region& region, const Node& producer, std::size_t operand);
/// Accesses of a launch: reads of every operand, writes of every result; by item where the request
/// says so.
std::vector<Access> all_accesses(const StageRequest& request, const CudaKernel& kernel);
/// f64 and the like: what no kernel of this backend takes.
Support check_types(const Node& node);

}  // namespace ingot::cuda
