#include "ingot/backends/cuda/step/step_text.h"

#include <fmt/core.h>

#include <algorithm>

namespace ingot::cuda {
namespace {

constexpr std::string_view kIntrinsics =
#include "ingot/backends/cuda/device/intrinsics.inc"
    ;
constexpr std::string_view kPrelude =
#include "ingot/backends/cuda/device/prelude.inc"
    ;
constexpr std::string_view kReduce =
#include "ingot/backends/cuda/device/reduce.inc"
    ;
constexpr std::string_view kVector =
#include "ingot/backends/cuda/device/vector.inc"
    ;
constexpr std::string_view kDirect =
#include "ingot/backends/cuda/device/direct.inc"
    ;
constexpr std::string_view kContract =
#include "ingot/backends/cuda/device/contract.inc"
    ;
constexpr std::string_view kMmaIntrinsics =
#include "ingot/backends/cuda/device/mma_intrinsics.inc"
    ;
constexpr std::string_view kMma =
#include "ingot/backends/cuda/device/mma.inc"
    ;

}  // namespace

std::string mma_header() { return std::string(kMmaIntrinsics) + std::string(kMma); }

std::string text_header() {
  return std::string(kIntrinsics) + std::string(kPrelude) + std::string(kReduce) +
         std::string(kVector) + std::string(kContract) + std::string(kDirect);
}

std::string params_struct(const std::string& name, std::size_t pointers, std::size_t feeds) {
  return fmt::format(
      "struct {} {{ char* p[{}]; i64 stride[{}]; Control* control; double* ring; i64 capacity; i64 "
      "steps; i64* counters; }};\n",
      name, std::max<std::size_t>(pointers, 1), std::max<std::size_t>(feeds, 1));
}

std::string unit_loop(const std::string& units, const std::string& call, const Stage& stage) {
  return fmt::format("for ({}) {{ {}{} }}\n", units, call,
                     stage.shared_bytes > 0 ? " __syncthreads();" : "");
}

std::string Binder::bind(const std::string& text, const PlacedStage& placed) {
  std::string bound;
  std::size_t from = 0;
  while (true) {
    const std::size_t open = text.find('@', from);
    if (open == std::string::npos) break;
    const std::size_t close = text.find('@', open + 1);
    bound.append(text, from, open - from);
    const std::string name = text.substr(open + 1, close - open - 1);
    if (name == "N") {
      bound += std::to_string(placed.node);
    } else if (name == "W") {
      bound += workspace_text(placed);
    } else if (name == "T") {
      bound += ticket_text(placed);
    } else if (name.front() == '=') {
      bound += store(name.substr(1), placed.stage);
    } else if (name.front() == ':') {
      bound += early(name.substr(1));
    } else {
      bound += slot_text(std::stoi(name), placed.stage);
    }
    from = close + 1;
  }
  bound.append(text, from);
  return bound;
}

std::string Binder::global_text(int slot) {
  const int root = program_.root_of(slot);
  std::string pointer = fmt::format("P.p[{}]", index_of({root, 0}));
  if (!stacked_) return pointer;
  for (std::size_t feed = 0; feed < program_.feeds.size(); ++feed) {
    if (program_.feeds[feed].slot == root) {
      return fmt::format("({} + step * P.stride[{}])", pointer, feed);
    }
  }
  return pointer;
}

bool Binder::sees_one_item(const Stage& stage) {
  if (stage.mode != Mode::item) return false;
  // Random numbers and reports of broken data are told apart by the place in the whole batch.
  for (const std::string_view absolute : {"philox", "latch("}) {
    if (stage.body.find(absolute) != std::string::npos) return false;
  }
  for (const Access& x : stage.accesses) {
    if (x.slot < 0 && x.by_item && x.item_bytes == 0) return false;
    for (const Access& y : stage.accesses) {
      if (x.slot == y.slot && x.by_item != y.by_item) return false;
    }
  }
  return true;
}

std::string Binder::workspace_text(const PlacedStage& placed) {
  std::string text = fmt::format("P.p[{}]", index_of({-1, placed.scratch_offset}));
  if (!sees_one_item(placed.stage)) return text;
  for (const Access& access : placed.stage.accesses) {
    if (access.slot < 0 && access.by_item) {
      return fmt::format("({} + item * {})", text, access.item_bytes);
    }
  }
  return text;
}

std::string Binder::ticket_text(const PlacedStage& placed) {
  ticket_bytes_ =
      std::max(ticket_bytes_, placed.ticket_offset + placed.stage.tickets * kTicketBytes);
  return fmt::format("P.p[{}]", index_of({kTickets, placed.ticket_offset}));
}

std::string Binder::slot_text(int slot, const Stage& stage, bool global) {
  const int root = program_.root_of(slot);
  const bool own = sees_one_item(stage);
  const bool by_item = std::ranges::any_of(
      stage.accesses, [&](const Access& access) { return access.slot == slot && access.by_item; });
  const auto at_item = [&](const std::string& pointer) {
    if (!own || !by_item) return pointer;
    const std::int64_t bytes = program_.slots[static_cast<std::size_t>(root)].bytes() / items_;
    return fmt::format("({} + item * {})", pointer, bytes);
  };
  const auto it = locals_.find(root);
  if (global || it == locals_.end()) return at_item(global_text(slot));
  const LocalPlace& place = it->second;
  if (place.item_bytes == 0) return at_item(fmt::format("(local + {})", place.offset));
  if (own) return fmt::format("(local + {})", place.offset);
  return fmt::format("(local + {} - item * {})", place.offset, place.item_bytes);
}

/// `parts`: slot|at, or slot| for the type
std::string Binder::early(const std::string& parts) {
  const std::size_t bar = parts.find('|');
  const std::string at = parts.substr(bar + 1);
  const auto it = sinks_.find(program_.root_of(std::stoi(parts)));
  if (it == sinks_.end()) return at.empty() ? "NoEarly" : "NoEarly()";
  return at.empty() ? it->second.function + "_early"
                    : fmt::format("{}_load(P, step, {})", it->second.function, at);
}

/// `parts`: slot|type|at|value, with ~ behind the type where early_ is at hand, or * and a number
/// where the value is an array of so many.
std::string Binder::store(const std::string& parts, const Stage& stage) {
  std::vector<std::string> part;
  std::size_t from = 0;
  for (int i = 0; i < 3; ++i) {
    const std::size_t bar = parts.find('|', from);
    part.push_back(parts.substr(from, bar - from));
    from = bar + 1;
  }
  const int slot = std::stoi(part[0]);
  const int root = program_.root_of(slot);
  const std::string value = parts.substr(from);
  std::string& type = part[1];
  const bool early = type.back() == '~';
  if (early) type.pop_back();
  const std::size_t star = type.find('*');
  const bool row = star != std::string::npos;
  const std::string count = row ? type.substr(star + 1) : "";
  if (row) type.resize(star);

  const auto sink = sinks_.find(root);
  if (sink != sinks_.end() && row) {
    const std::string element =
        store(fmt::format("{}|{}|{} + p_|{}[p_]", slot, type, part[2], value), stage);
    return fmt::format("for (int p_ = 0; p_ < {}; ++p_) {}", count, element);
  }
  const auto local = locals_.find(root);
  const bool is_local = local != locals_.end();
  const auto put_to = [&](bool global, const std::string& at, const std::string& what) {
    return fmt::format("put{}{}(({}*){}, {}, {});", row ? "_row" : "",
                       is_local && !global ? "_local" : "", type, slot_text(slot, stage, global),
                       at, what);
  };
  const auto put = [&](const std::string& at, const std::string& what) {
    if (!is_local || !local->second.through) return put_to(false, at, what);
    // Where all blocks find the same, one stores it.
    return fmt::format("{{ const i64 a_ = {}; const auto& w_ = {};\n{} {}{} }}", at, what,
                       put_to(false, "a_", "w_"),
                       local->second.item_bytes == 0 ? "if (blockIdx.x == 0) " : "",
                       put_to(true, "a_", "w_"));
  };
  if (sink == sinks_.end()) return put(part[2], value);
  const std::string& update = sink->second.function;
  return fmt::format(
      "{{ const i64 i_ = {}; const float v_ = {};\n{}{}(P, step, i_, v_, go, {}); }}", part[2],
      value, sink->second.stored ? put("i_", "v_") + "\n" : "", update,
      early ? "early_" : fmt::format("{}_load(P, step, i_)", update));
}

std::size_t Binder::index_of(const Pointer& pointer) {
  const auto it = std::ranges::find(pointers_, pointer);
  if (it != pointers_.end()) return static_cast<std::size_t>(it - pointers_.begin());
  pointers_.push_back(pointer);
  return pointers_.size() - 1;
}

}  // namespace ingot::cuda
