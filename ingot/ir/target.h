// What a pass may ask of a backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/ir/graph.h"

namespace ingot {

/// Yes, or no with a reason.
struct Support {
  bool ok = true;
  std::string reason;
  static Support yes() { return {}; }
  static Support no(std::string why) { return {false, std::move(why)}; }
  explicit operator bool() const noexcept { return ok; }
};

struct CacheSizes {
  std::int64_t l1 = 32 << 10;
  std::int64_t l2 = 512 << 10;
  std::int64_t l3 = 8 << 20;
};

/// What a step is bound by: the time between dependent Nodes, or the work in them. A backend may
/// lay out, fuse and launch the two differently.
enum class StepForm : std::uint8_t { latency, throughput };

/// Layouts that a Node's best kernel wants; no outputs: as what reads them likes. Agnostic: any
/// layout, as long as full-shaped operands and the outputs share one.
struct LayoutWish {
  bool agnostic = true;
  std::vector<Layout> inputs;
  std::vector<Layout> outputs;
};

class Target {
 public:
  virtual ~Target() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  /// Whether a kernel exists for the Node (its op, dtypes, shapes).
  [[nodiscard]] virtual Support supports(const Node& node) const = 0;
  /// Whether a composite is kept as one Node.
  [[nodiscard]] virtual bool claims(const Node& composite) const = 0;
  /// Which form a step takes; asked once, of the Graph that the user built.
  [[nodiscard]] virtual StepForm step_form(const Graph&) const { return StepForm::latency; }
  [[nodiscard]] virtual LayoutWish layouts(const Node& node, StepForm form) const = 0;
  /// Whether a Node given its inputs and outputs in these layouts can run.
  [[nodiscard]] virtual bool accepts(const Node& node, const Layout& layout) const = 0;
  /// Whether `consumer` may join `region_nodes` (in order) in one fused Region.
  [[nodiscard]] virtual Support can_fuse(std::span<const Node* const> region_nodes,
                                         const Node& consumer, StepForm form) const = 0;
  /// Whether a strided conv2d, or its weight gradient, is better off over blocks of pixels; see the
  /// pass space_to_depth.
  [[nodiscard]] virtual bool wants_space_to_depth(const Node&, StepForm) const { return false; }
  /// Whether Regions of batch slices pay here: cores with caches of their own do the work.
  [[nodiscard]] virtual bool slices_batches() const noexcept { return false; }
  /// Whether conversions of weights are kept from step to step, and an update writes them with the
  /// weights; asked for the whole step, then supports() for the Region of an update with them.
  [[nodiscard]] virtual bool keeps_weight_copies(StepForm) const noexcept { return false; }
  [[nodiscard]] virtual std::size_t alignment() const noexcept { return 64; }
  [[nodiscard]] virtual CacheSizes caches() const noexcept { return {}; }
};

}  // namespace ingot
