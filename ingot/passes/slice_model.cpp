#include "ingot/passes/slice_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "ingot/ir/body.h"

namespace ingot {
namespace {

/// Of one core, roughly: a call of a kernel that has nothing to do, what it computes and moves.
constexpr double kCallNanoseconds = 300;
constexpr double kFlopsPerNanosecond = 100;
constexpr double kBytesPerNanosecond = 20;

std::int64_t bytes_of(const Node::Output& value) { return value.layout.physical_bytes(value.type); }
std::int64_t bytes_of(const Value& value) { return value.layout().physical_bytes(value.type()); }

}  // namespace

std::string better_whole(const Node& node, const NodeBatch& batch, std::int64_t items,
                         const CacheSizes& caches) {
  const std::int64_t groups = std::min(items, kMaxGroups);
  std::int64_t with_batch = 0;
  std::int64_t weights = 0;
  std::int64_t sums = 0;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    (batch.input_axes[i] >= 0 ? with_batch : weights) += bytes_of(node.input(i));
  }
  const std::int64_t read = with_batch;
  for (std::size_t i = 0; i < node.outputs().size(); ++i) {
    (batch.outputs[i].axis >= 0 ? with_batch : sums) += bytes_of(node.outputs()[i]);
  }
  if (sums * groups > read + kDispatchBytes) {
    return fmt::format("{} partial sums of {} bytes, to read {} bytes once", groups, sums, read);
  }
  if (weights > caches.l2 / 4 && weights * groups > with_batch + kDispatchBytes) {
    return fmt::format("weights of {} bytes read {} times, to keep {} bytes in the cache", weights,
                       groups, with_batch);
  }
  return {};
}

bool outweighs_calls(std::span<const Node* const> nodes, std::int64_t slices) {
  double work = 0;
  double calls = 0;
  for (const Node* node : nodes) {
    if (is_view(*node)) continue;
    calls += kCallNanoseconds * static_cast<double>(slices);
    work += total_flops(*node) / kFlopsPerNanosecond;
    for (const Node::Output& output : node->outputs()) {
      work += 2 * static_cast<double>(bytes_of(output)) / kBytesPerNanosecond;
    }
  }
  return work > 4 * calls;
}

SliceBytes slice_bytes(std::span<const Node* const> nodes, const GraphBatch& batch) {
  struct Life {
    std::size_t first = 0, last = 0;
    double item = 0, fixed = 0;
  };
  std::unordered_map<Value, Life, ValueHash> lives;
  const auto touch = [&](const Value& value, bool has_batch, std::size_t time) {
    const auto [it, is_new] = lives.try_emplace(value);
    Life& life = it->second;
    if (is_new) {
      const auto bytes = static_cast<double>(bytes_of(value));
      life = {time, time, has_batch ? bytes / static_cast<double>(batch.items) : 0.0,
              has_batch ? 0.0 : bytes};
    }
    life.last = time;
  };
  for (std::size_t time = 0; time < nodes.size(); ++time) {
    const Node& node = *nodes[time];
    const NodeBatch& own = batch.nodes[static_cast<std::size_t>(node.id())];
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      touch(node.input(i), own.input_axes[i] >= 0, time);
    }
    for (std::size_t i = 0; i < node.outputs().size(); ++i) {
      touch({const_cast<Node*>(&node), static_cast<int>(i)}, own.outputs[i].axis >= 0, time);
    }
  }
  std::vector<SliceBytes> change(nodes.size() + 1);
  for (const auto& [value, life] : lives) {
    change[life.first].item += life.item;
    change[life.first].fixed += life.fixed;
    change[life.last + 1].item -= life.item;
    change[life.last + 1].fixed -= life.fixed;
  }
  SliceBytes live;
  SliceBytes peak;
  for (const SliceBytes& step : change) {
    live.item += step.item;
    live.fixed += step.fixed;
    if (live.item + live.fixed > peak.item + peak.fixed) peak = live;
  }
  return peak;
}

std::int64_t choose_items(std::int64_t batch, const SliceBytes& bytes, const CacheSizes& caches) {
  const std::int64_t most = std::max<std::int64_t>(batch / kMinSlices, 1);
  const double room = static_cast<double>(caches.l2) / 2 - bytes.fixed;
  for (std::int64_t items = most; items > 1; --items) {
    if (batch % items == 0 && static_cast<double>(items) * bytes.item <= room) return items;
  }
  return 1;
}

}  // namespace ingot
