#include "ingot/backends/cpu/pooled_kernel.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "ingot/backends/cpu/conv_problem.h"
#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/epilogue.h"
#include "ingot/backends/cpu/fused_body.h"
#include "ingot/backends/cpu/parallel.h"
#include "ingot/backends/cpu/pool_planes.h"
#include "ingot/backends/cpu/sliced_kernel.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/pool2d.h"

namespace ingot::cpu {
namespace {

/// Rows of an image that are made and pooled at a time: well within the first-level cache.
constexpr std::int64_t kBandBytes = 16 << 10;

std::size_t at(int i) noexcept { return static_cast<std::size_t>(i); }
std::int64_t aligned(std::int64_t bytes) noexcept { return (bytes + 63) / 64 * 64; }

/// Where a tensor would begin of which `memory` holds the elements from `first` on.
std::byte* base_of(std::byte* memory, std::int64_t first, std::int64_t element) noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a pointer may not lie before its memory
  return reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(memory) -
                                      static_cast<std::uintptr_t>(first * element));
}

/// The body of such a Region: two Nodes.
struct PooledBody {
  const Node* producer = nullptr;
  const Node* pool = nullptr;
  int pooled = 0;             ///< the producer's output that the pool reads
  int result = 0;             ///< the Region's result that is the pool's
  std::vector<int> stored;    ///< the Region's result that each output of the producer is, or -1
  std::vector<int> operands;  ///< the Region's operand that each of the producer's is
};

std::optional<PooledBody> find_pooled(const Node& region) {
  if (region.body() == nullptr) return std::nullopt;
  PooledBody body;
  for (const auto& node : region.body()->nodes()) {
    if (&node->op() == &argument_op()) continue;
    if (is_pool2d(*node) && body.producer != nullptr && body.pool == nullptr) {
      body.pool = node.get();
    } else if (body.producer == nullptr) {
      body.producer = node.get();
    } else {
      return std::nullopt;
    }
  }
  if (body.pool == nullptr || body.pool->input(0).node() != body.producer) return std::nullopt;
  body.pooled = body.pool->input(0).index();
  for (const Value& input : body.producer->inputs()) {
    if (&input.node()->op() != &argument_op()) return std::nullopt;
    body.operands.push_back(static_cast<int>(input.node()->integer("index")));
  }
  body.stored.assign(body.producer->outputs().size(), -1);
  bool found = false;
  const auto& fetches = region.body()->fetches();
  for (std::size_t i = 0; i < fetches.size(); ++i) {
    const Value& value = fetches[i].value;
    if (value.node() == body.pool) {
      body.result = static_cast<int>(i);
      found = true;
    } else {
      body.stored[at(value.index())] = static_cast<int>(i);
    }
  }
  for (int o = 0; o < static_cast<int>(body.stored.size()); ++o) {
    found &= body.stored[at(o)] >= 0 || o == body.pooled;
  }
  return found ? std::optional(std::move(body)) : std::nullopt;
}

/// An elementwise Node, or a fused Region of such alone.
bool is_map(const Node& node) {
  if (node.body() == nullptr) return is_pointwise(node) && fusable(node).ok;
  return &node.op() == &fused_op() && std::ranges::all_of(node.body()->nodes(), [](const auto& n) {
    return n->op().traits.source || (is_pointwise(*n) && fusable(*n).ok);
  });
}

/// The convolution that a Node is, or that a fused Region begins with.
const Node* convolution_of(const Node& node) {
  const Node* producer = node.body() == nullptr ? &node : epilogue_producer(node);
  return producer != nullptr && is_conv(*producer) && conv_kind(*producer) != ConvKind::weight_grad
             ? producer
             : nullptr;
}

/// A convolution makes whole images, which should be in a cache when they are pooled. Those that
/// are stored are on their way to memory; the others take turns in one place.
Support stays_cached(const PooledBody& body, const CacheSizes& caches) {
  const TensorType& images = body.pool->input_type(0);
  const std::int64_t bytes = images.bytes() / std::max<std::int64_t>(images.shape[0], 1);
  const bool is_stored = body.stored[at(body.pooled)] >= 0;
  const std::int64_t room = is_stored ? caches.l2 / 2 : caches.l3 / 8;
  if (bytes <= room) return Support::yes();
  return Support::no(fmt::format("an image of {:.1f} KiB{} leaves the cache: more than {} KiB",
                                 static_cast<double>(bytes) / 1024,
                                 is_stored ? ", stored besides," : "", room >> 10));
}

Support supports(const Node& node, const Backend& backend) {
  const std::optional<PooledBody> body = find_pooled(node);
  if (!body) return Support::no("takes a Node and the pool that reads its result");
  if (const Support support = can_join_pool(*body->producer); !support) return support;
  if (const Support support = takes_pool_layouts(*body->pool); !support) return support;
  const Value image = body->pool->input(0);
  if (Support unpadded = require_unpadded(image.shape(), image.layout()); !unpadded) {
    return unpadded;
  }
  if (!is_map(*body->producer)) {
    if (const Support support = stays_cached(*body, backend.caches()); !support) return support;
  }
  return backend.supports(*body->producer);
}

class PooledKernel final : public Kernel {
 public:
  PooledKernel(const KernelProblem& problem, const CpuBackend& backend)
      : PooledKernel(problem, backend, *find_pooled(problem.node)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override { return scratch_bytes_; }

  /// What the producer may do where its result is stored.
  [[nodiscard]] bool in_place(int input, int output) const noexcept override {
    const auto stored = std::ranges::find(body_.stored, output);
    if (stored == body_.stored.end()) return false;
    const auto own = static_cast<int>(stored - body_.stored.begin());
    for (int i = 0; i < static_cast<int>(body_.operands.size()); ++i) {
      if (body_.operands[at(i)] == input && !producer_->in_place(i, own)) return false;
    }
    return true;
  }

  void run(const KernelContext& context) noexcept override {
    for (std::vector<std::byte*>& slots : slots_) {
      for (std::size_t i = 0; i < operand_slots_.size(); ++i) {
        slots[i] = context.slots[operand_slots_[i]];
      }
      for (std::size_t o = 0; o < stored_slots_.size(); ++o) {
        slots[operand_slots_.size() + o] =
            stored_slots_[o] >= 0 ? context.slots[stored_slots_[o]] : context.scratch + buffer_;
      }
    }
    if (sliced_ != nullptr) return run_slices(context);
    if (ranges_ != nullptr) return run_bands(context);
    producer_->run(producer_context(context, 0));
    parallel_ranges(pool_, shape().planes, 1, pool_cost(),
                    [&](std::int64_t begin, std::int64_t end, int) {
                      pool_planes(context, image(0), begin, end);
                    });
  }

 private:
  PooledKernel(const KernelProblem& problem, const CpuBackend& backend, PooledBody body)
      : pool_(backend.pool()),
        body_(std::move(body)),
        pooling_(*body_.pool),
        element_(static_cast<std::int64_t>(dtype_size(body_.pool->output_type().dtype))),
        result_slot_(problem.outputs[at(body_.result)]) {
    KernelProblem inner{*body_.producer, {}, {}};
    for (const int operand : body_.operands) {
      inner.inputs.push_back(static_cast<int>(operand_slots_.size()));
      operand_slots_.push_back(problem.inputs[at(operand)]);
    }
    image_slot_ = operand_slots_.size() + at(body_.pooled);
    for (const int stored : body_.stored) {
      inner.outputs.push_back(static_cast<int>(operand_slots_.size() + stored_slots_.size()));
      stored_slots_.push_back(stored >= 0 ? problem.outputs[at(stored)] : -1);
    }
    slots_.assign(at(pool_.size()),
                  std::vector<std::byte*>(operand_slots_.size() + stored_slots_.size()));
    producer_ = backend.find_candidate(*body_.producer, [](const auto&, const auto&) {})
                    ->create(inner, backend);
    sliced_ = dynamic_cast<SlicedKernel*>(producer_.get());
    if (sliced_ != nullptr && !slices_are_planes()) sliced_ = nullptr;
    ranges_ = dynamic_cast<RangeKernel*>(producer_.get());
    if (ranges_ != nullptr && !ranges_->makes_ranges(body_.pooled)) ranges_ = nullptr;
    const std::int64_t rows = std::max<std::int64_t>(kBandBytes / (shape().in_row() * element_), 1);
    band_ = std::max<std::int64_t>(rows / shape().window.stride[0], 1);
    buffer_ = aligned(producer_->scratch_bytes());
    buffer_bytes_ = is_stored() ? 0 : aligned(element_ * buffer_elements());
    const bool in_parts = sliced_ != nullptr || ranges_ != nullptr;
    scratch_bytes_ = buffer_ + buffer_bytes_ * (in_parts ? pool_.size() : 1);
    name_ = fmt::format("{}{}{}", producer_->name(), in_parts ? " + " : ", then ",
                        body_.pool->op().name);
  }

  [[nodiscard]] const PoolGeometry& shape() const noexcept { return pooling_.shape(); }
  [[nodiscard]] bool is_stored() const noexcept { return body_.stored[at(body_.pooled)] >= 0; }
  [[nodiscard]] double pool_cost() const noexcept {
    const Window2d& window = shape().window;
    return 0.2 * static_cast<double>(shape().planes * shape().out_size() * window.kernel[0] *
                                     window.kernel[1]);
  }

  /// Whether each slice of the producer makes whole planes.
  [[nodiscard]] bool slices_are_planes() const noexcept {
    if (!sliced_->has_ranges() || shape().in_size() == 0) return false;
    for (std::int64_t slice = 0; slice < sliced_->slices(); ++slice) {
      const SliceRange range = sliced_->range(slice);
      if (range.begin % shape().in_size() != 0 || range.end % shape().in_size() != 0) return false;
    }
    return true;
  }

  /// Of what one worker makes at a time, or of everything.
  [[nodiscard]] std::int64_t buffer_elements() const noexcept {
    std::int64_t most = 0;
    if (sliced_ != nullptr) {
      for (std::int64_t slice = 0; slice < sliced_->slices(); ++slice) {
        const SliceRange range = sliced_->range(slice);
        most = std::max(most, range.end - range.begin);
      }
      return most;
    }
    if (ranges_ == nullptr) return shape().planes * shape().in_size();
    for (std::int64_t row = 0; row < shape().out_height; row += band_) {
      const auto [first, end] = shape().rows_of(row, std::min(row + band_, shape().out_height));
      most = std::max(most, end - first);
    }
    return most * shape().in_row();
  }

  [[nodiscard]] std::byte*& image(int worker) noexcept { return slots_[at(worker)][image_slot_]; }
  [[nodiscard]] KernelContext producer_context(const KernelContext& context,
                                               int worker) const noexcept {
    return {slots_[at(worker)].data(), context.scratch, context.errors};
  }
  [[nodiscard]] std::byte* buffer(const KernelContext& context, int worker) const noexcept {
    return context.scratch + buffer_ + worker * buffer_bytes_;
  }

  /// Planes [begin, end) of the images at `x`.
  void pool_planes(const KernelContext& context, const std::byte* x, std::int64_t begin,
                   std::int64_t end) const noexcept {
    std::byte* const y = context.slots[result_slot_];
    for (std::int64_t plane = begin; plane < end; ++plane) {
      pooling_.run(x + plane * shape().in_size() * element_,
                   y + plane * shape().out_size() * element_, {0, shape().out_height});
    }
  }

  void run_slices(const KernelContext& context) noexcept {
    sliced_->prepare(producer_context(context, 0));
    const auto run_slice = [&](std::int64_t slice, int worker) {
      const SliceRange range = sliced_->range(slice);
      if (!is_stored()) image(worker) = base_of(buffer(context, worker), range.begin, element_);
      sliced_->run_slice(producer_context(context, worker), slice, worker);
      pool_planes(context, image(worker), range.begin / shape().in_size(),
                  range.end / shape().in_size());
    };
    if (!sliced_->is_serial()) return pool_.parallel_for(sliced_->slices(), run_slice);
    for (std::int64_t slice = 0; slice < sliced_->slices(); ++slice) run_slice(slice, 0);
  }

  void run_bands(const KernelContext& context) noexcept {
    ranges_->prepare_ranges(producer_context(context, 0));
    const double made = static_cast<double>(shape().planes * shape().in_size());
    parallel_ranges(pool_, shape().planes, 1, pool_cost() + made * ranges_->range_cost(),
                    [&](std::int64_t begin, std::int64_t end, int worker) {
                      for (std::int64_t plane = begin; plane < end; ++plane) {
                        run_plane(context, plane, worker);
                      }
                    });
  }

  void run_plane(const KernelContext& context, std::int64_t plane, int worker) noexcept {
    const std::int64_t row = shape().in_row();
    const std::int64_t begin = plane * shape().in_size();
    std::byte* const y = context.slots[result_slot_] + plane * shape().out_size() * element_;
    std::byte* const kept = buffer(context, worker);
    std::int64_t first = 0;  // row that the buffer begins with
    std::int64_t made = 0;   // rows made, those that no window holds left out
    const auto make = [&](std::int64_t end) {
      if (made >= end) return;
      ranges_->run_range(producer_context(context, worker), {begin + made * row, begin + end * row},
                         worker);
      made = end;
    };
    for (std::int64_t out = 0; out < shape().out_height; out += band_) {
      const std::int64_t out_end = std::min(out + band_, shape().out_height);
      const auto [from, end] = shape().rows_of(out, out_end);
      if (!is_stored()) {
        // Rows that the next windows hold, too, move to the front.
        if (from < made) {
          std::memmove(kept, kept + (from - first) * row * element_,
                       static_cast<std::size_t>((made - from) * row * element_));
        }
        made = std::max(made, from);
        first = from;
        image(worker) = base_of(kept, begin + first * row, element_);
      }
      make(end);
      pooling_.run(image(worker) + begin * element_, y, {out, out_end});
    }
    if (is_stored()) make(shape().height);
  }

  ThreadPool& pool_;
  PooledBody body_;
  PlanePool pooling_;
  std::int64_t element_;                           ///< bytes
  std::vector<int> operand_slots_, stored_slots_;  ///< of the Region; -1: in a buffer
  int result_slot_;
  std::size_t image_slot_ = 0;                  ///< of what the pool reads, among the producer's
  std::vector<std::vector<std::byte*>> slots_;  ///< the producer's, by worker
  std::unique_ptr<Kernel> producer_;
  SlicedKernel* sliced_ = nullptr;  ///< the producer, when its slices are whole planes
  RangeKernel* ranges_ = nullptr;   ///< the producer, when it makes any range
  std::int64_t band_ = 1;           ///< rows of the result that are pooled at a time
  std::int64_t buffer_ = 0, buffer_bytes_ = 0, scratch_bytes_ = 0;
  std::string name_;
};

}  // namespace

Support can_join_pool(const Node& producer) {
  if (is_map(producer) || convolution_of(producer) != nullptr) return Support::yes();
  return Support::no(fmt::format("{} makes no images in parts", producer.op().name));
}

KernelCandidate pooled_candidate() {
  return {"pooled", supports, [](const KernelProblem& problem, const Backend& backend) {
            return std::make_unique<PooledKernel>(problem, as_cpu(backend));
          }};
}

}  // namespace ingot::cpu
