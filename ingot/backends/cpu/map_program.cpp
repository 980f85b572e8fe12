#include "ingot/backends/cpu/map_program.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

namespace ingot {
namespace {

constexpr std::int64_t kTileBudget = 20 << 10;  // bytes of the first-level cache for registers
constexpr std::int64_t kMinTile = 64;
constexpr std::int64_t kMaxTile = 1024;
/// Rows at least this long end a tile: broadcast operands are then one element or a plain run.
constexpr std::int64_t kMinRow = 256;
constexpr std::int64_t kAlign = 64;
/// Operands of more bytes are fetched ahead: smaller ones lie in a cache already.
constexpr std::int64_t kStreamBytes = 1 << 20;
constexpr std::int64_t kCacheLine = 64;

std::size_t at(int i) noexcept { return static_cast<std::size_t>(i); }

std::int64_t aligned(std::int64_t bytes) noexcept { return (bytes + kAlign - 1) / kAlign * kAlign; }

std::int64_t padded(std::int64_t n) noexcept {
  return (n + kTileQuantum - 1) / kTileQuantum * kTileQuantum;
}

/// Operations go over whole quanta: the lanes behind the last element hold zero, not what happened
/// to lie there.
void clear_tail(std::byte* tile, Lane lane, std::int64_t n) noexcept {
  const std::int64_t size = lane_bytes(lane);
  std::memset(tile + n * size, 0, static_cast<std::size_t>((padded(n) - n) * size));
}

}  // namespace

Support MapProgram::check(const LoweredProgram& lowered, std::span<const MapTensor> operands,
                          const MapTensor& result) {
  if (!lowered.support) return lowered.support;
  if (lowered.values.size() > kMaxValues || operands.size() > kMaxOperands ||
      lowered.outputs.size() > kMaxOutputs) {
    return Support::no(fmt::format(
        "takes up to {} values, {} operands and {} results, got {}, {} and {}", kMaxValues,
        kMaxOperands, kMaxOutputs, lowered.values.size(), operands.size(), lowered.outputs.size()));
  }
  for (const MapTensor& operand : operands) {
    if (!OperandWalk::make(result.type.shape, result.layout, operand.type.shape, operand.layout)) {
      return Support::no(fmt::format("operand in {} cannot be read along {}",
                                     operand.layout.to_string(operand.type.shape.rank()),
                                     result.layout.to_string(result.type.shape.rank())));
    }
  }
  return Support::yes();
}

MapProgram::MapProgram(const LoweredProgram& lowered, std::span<const MapTensor> operands,
                       const MapTensor& result)
    : size_(result.layout.physical_numel(result.type.shape)), keeps_zero_(lowered.keeps_zero) {
  for (std::size_t i = 0; i < lowered.values.size(); ++i) {
    const LoweredValue& value = lowered.values[i];
    const int id = static_cast<int>(i);
    lanes_.push_back(value.lane);
    switch (value.kind) {
      case LoweredValue::Kind::load: {
        const MapTensor& operand = operands[at(value.operand)];
        loads_.push_back({.value = id,
                          .operand = value.operand,
                          .lane = value.lane,
                          .convert = tile_load_fn(operand.type.dtype, value.lane),
                          .element = dtype_size(operand.type.dtype),
                          .walk = *OperandWalk::make(result.type.shape, result.layout,
                                                     operand.type.shape, operand.layout)});
        cost_ += 0.1;
        break;
      }
      case LoweredValue::Kind::constant: constants_.push_back({id, value.bits}); break;
      case LoweredValue::Kind::op:
        instrs_.push_back({.fn = value.fn, .value = id, .arity = value.arity, .args = value.args});
        // Arguments that an operation does not have repeat its first, so that none is invalid.
        for (int& arg : instrs_.back().args) arg = arg < 0 ? value.args[0] : arg;
        cost_ += value.cost;
        break;
    }
  }
  for (const LoweredOutput& output : lowered.outputs) {
    outputs_.push_back({output.value, tile_store_fn(output.dtype), dtype_size(output.dtype)});
    cost_ += 0.1;
  }
  choose_loads();
  std::int64_t bytes = 0;
  for (const Load& load : loads_) {
    if (load.kind == LoadKind::linear) bytes += size_ * static_cast<std::int64_t>(load.element);
  }
  streams_ = bytes > kStreamBytes;
  assign_slots();
  find_direct_outputs();
}

void MapProgram::choose_loads() {
  for (Load& load : loads_) {
    if (load.walk.linear() || load.walk.splat()) {
      load.kind = load.walk.linear() ? LoadKind::linear : LoadKind::splat;
      continue;
    }
    std::int64_t row = load.walk.run();
    load.kind = LoadKind::row;
    if (row < kMinRow) {
      row = load.walk.repeated();
      load.kind = LoadKind::repeated;
    }
    if (row < kMinRow) {
      load.kind = LoadKind::gathered;
    } else if (row < size_) {
      // Rows nest: the shortest divides the others.
      row_ = row_ == 0 ? row : std::min(row_, row);
    }
  }
}

void MapProgram::assign_slots() {
  // Where each value is read last; outputs are read at the end.
  const int end = static_cast<int>(instrs_.size());
  std::vector<int> last_use(lanes_.size(), -1);
  for (int i = 0; i < end; ++i) {
    for (int k = 0; k < instrs_[at(i)].arity; ++k) last_use[at(instrs_[at(i)].args[at(k)])] = i;
  }
  for (const Output& output : outputs_) last_use[at(output.value)] = end;

  std::vector<std::int64_t> slot_of(lanes_.size(), -1);
  std::vector<std::int64_t> free;
  std::int64_t slots = 0;
  const auto take = [&] {
    if (free.empty()) return slots++;
    const std::int64_t slot = free.back();
    free.pop_back();
    return slot;
  };
  bool wide = false;
  for (const Lane lane : lanes_) wide |= lane_bytes(lane) == 8;
  bool staging = false;
  for (Load& load : loads_) {
    if (load.walk.splat() || (load.walk.linear() && load.convert == nullptr)) continue;
    load.slot = take();
    // A repeated run stays in its slot from tile to tile.
    if (load.kind != LoadKind::repeated) slot_of[at(load.value)] = load.slot;
    staging |= !load.walk.linear() && load.convert != nullptr;
  }
  for (int i = 0; i < end; ++i) {
    Instr& instr = instrs_[at(i)];
    const auto release_dying = [&](bool same_width) {
      for (int k = 0; k < instr.arity; ++k) {
        const int arg = instr.args[at(k)];
        const bool same = lane_bytes(lanes_[at(arg)]) == lane_bytes(lanes_[at(instr.value)]);
        if (same != same_width || last_use[at(arg)] != i || slot_of[at(arg)] < 0) continue;
        free.push_back(slot_of[at(arg)]);
        slot_of[at(arg)] = -1;
      }
    };
    // A loop may write where it reads, element by element of one width.
    release_dying(true);
    instr.slot = slot_of[at(instr.value)] = take();
    release_dying(false);
  }

  const std::int64_t width = wide ? 8 : 4;
  const std::int64_t per_element = width * std::max<std::int64_t>(slots + (staging ? 1 : 0), 1);
  tile_ = std::clamp(kTileBudget / per_element, kMinTile, kMaxTile) / kTileQuantum * kTileQuantum;
  const std::int64_t slot_bytes = aligned(tile_ * width);
  for (Load& load : loads_) load.slot *= slot_bytes;
  for (Instr& instr : instrs_) instr.slot *= slot_bytes;
  frame_bytes_ = slots * slot_bytes;
  staging_ = frame_bytes_;
  if (staging) frame_bytes_ += aligned(tile_ * 8);
  for (Load& load : loads_) {
    load.tail = frame_bytes_;
    frame_bytes_ += aligned(kTileQuantum * 8);
  }
}

void MapProgram::find_direct_outputs() {
  for (std::size_t o = 0; o < outputs_.size(); ++o) {
    Output& output = outputs_[o];
    if (output.convert != nullptr) continue;
    const auto it = std::find_if(instrs_.begin(), instrs_.end(),
                                 [&](const Instr& instr) { return instr.value == output.value; });
    if (it == instrs_.end() || it->output >= 0) continue;
    it->output = static_cast<int>(o);
    for (const Load& load : loads_) {
      const auto reads = [&](const Instr& instr) {
        return std::find(instr.args.begin(), instr.args.begin() + instr.arity, load.value) !=
               instr.args.begin() + instr.arity;
      };
      const bool later = std::any_of(it + 1, instrs_.end(), reads) ||
                         std::any_of(outputs_.begin(), outputs_.end(), [&](const Output& other) {
                           return other.value == load.value;
                         });
      if (later) output.read_later |= 1u << load.operand;
    }
  }
}

bool MapProgram::in_place(int operand, int output) const noexcept {
  return std::all_of(loads_.begin(), loads_.end(), [&](const Load& load) {
    return load.operand != operand ||
           (load.walk.linear() && load.element == outputs_[at(output)].element);
  });
}

bool MapProgram::reads_along(int operand) const noexcept {
  return std::all_of(loads_.begin(), loads_.end(), [&](const Load& load) {
    return load.operand != operand || load.walk.linear();
  });
}

bool MapProgram::is_loaded(int output) const noexcept {
  return std::any_of(loads_.begin(), loads_.end(),
                     [&](const Load& load) { return load.value == outputs_[at(output)].value; });
}

void MapProgram::bind(Frame& frame, std::span<const std::byte* const> operands,
                      std::span<std::byte* const> outputs, std::byte* memory) const noexcept {
  frame.memory = memory;
  frame.repeated.fill({-1, 0});
  frame.part = {-1, 0};
  std::copy(operands.begin(), operands.end(), frame.operands.begin());
  for (const Constant& constant : constants_) {
    frame.values[at(constant.value)] = {constant.bits.data(), true};
  }
  for (const Load& load : loads_) {
    if (!load.walk.splat()) continue;
    const std::byte* source = operands[at(load.operand)];
    if (load.convert != nullptr) {
      load.convert(memory + load.tail, source, 1);
      source = memory + load.tail;
    }
    frame.values[at(load.value)] = {source, true};
  }
  for (std::size_t o = 0; o < outputs_.size(); ++o) {
    frame.outputs[o] = outputs[o];
    frame.direct[o] = outputs[o] != nullptr;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if ((outputs_[o].read_later >> i & 1u) != 0 && operands[i] == outputs[o]) {
        frame.direct[o] = false;
      }
    }
  }
}

std::int64_t MapProgram::tile(std::int64_t begin, std::int64_t end) const noexcept {
  std::int64_t n = std::min(tile_, end - begin);
  if (row_ > 0) n = std::min(n, row_ - begin % row_);
  return n < kTileQuantum ? n : n / kTileQuantum * kTileQuantum;
}

void MapProgram::load(Frame& frame, std::int64_t begin, std::int64_t n,
                      bool partial) const noexcept {
  for (std::size_t i = 0; i < loads_.size(); ++i) {
    if (loads_[i].kind != LoadKind::splat) load_one(frame, i, begin, n, partial);
  }
}

void MapProgram::load_one(Frame& frame, std::size_t index, std::int64_t begin, std::int64_t n,
                          bool partial) const noexcept {
  const Load& load = loads_[index];
  TileArg& value = frame.values[at(load.value)];
  const std::byte* source = frame.operands[at(load.operand)];
  std::byte* slot = frame.memory + load.slot;
  if (load.kind == LoadKind::gathered || load.kind == LoadKind::repeated ||
      (load.kind == LoadKind::row && load.walk.run_stride() > 1)) {
    value = {slot, false};
    if (load.kind == LoadKind::repeated) {
      auto& held = frame.repeated[index];
      const std::int64_t start = load.walk.offset(begin);
      if (held.first == start && held.second >= n) return;
      held = {start, n};
    }
    std::byte* gathered = load.convert != nullptr ? frame.memory + staging_ : slot;
    load.walk.gather(gathered, source, load.element, begin, n);
    if (load.convert != nullptr) load.convert(slot, gathered, n);
    if (partial) clear_tail(slot, load.lane, n);
    return;
  }
  const std::int64_t position =
      load.kind == LoadKind::row
          ? load.walk.offset(begin)
          : begin - (load.operand == frame.part.first ? frame.part.second : 0);
  source += static_cast<std::size_t>(position) * load.element;
  const bool one = load.kind == LoadKind::row && load.walk.run_stride() == 0;
  if (load.convert != nullptr) {
    load.convert(slot, source, one ? 1 : n);
    if (partial && !one) clear_tail(slot, load.lane, n);
    value = {slot, one};
  } else if (partial && !one) {
    std::memcpy(frame.memory + load.tail, source, static_cast<std::size_t>(n) * load.element);
    clear_tail(frame.memory + load.tail, load.lane, n);
    value = {frame.memory + load.tail, false};
  } else {
    value = {source, one};
  }
}

// The processor's own prefetching begins anew with each page and each change of operand, which is
// about once a tile.
void MapProgram::prefetch(const Frame& frame, std::int64_t begin, std::int64_t n, std::int64_t part,
                          std::int64_t parts) const noexcept {
  const std::int64_t ahead = std::min(n, size_ - begin);
  for (const Load& load : loads_) {
    if (load.kind != LoadKind::linear || load.operand == frame.part.first) continue;
    const auto element = static_cast<std::int64_t>(load.element);
    const std::byte* next = frame.operands[at(load.operand)] + begin * element;
    const std::int64_t lines = ahead * element / kCacheLine;
    for (std::int64_t line = lines * part / parts; line < lines * (part + 1) / parts; ++line) {
      __builtin_prefetch(next + line * kCacheLine, 0, 2);
    }
  }
}

void MapProgram::evaluate(Frame& frame, std::int64_t begin, std::int64_t n) const noexcept {
  const bool partial = n % kTileQuantum != 0;
  load(frame, begin, n, partial);
  const std::int64_t lanes = padded(n);
  const auto parts = static_cast<std::int64_t>(instrs_.size());
  if (streams_ && parts == 0) prefetch(frame, begin + n, n, 0, 1);
  std::int64_t part = 0;
  for (const Instr& instr : instrs_) {
    if (streams_) prefetch(frame, begin + n, n, part++, parts);
    std::array<TileArg, 3> args;
    for (std::size_t k = 0; k < args.size(); ++k) args[k] = frame.values[at(instr.args[k])];
    std::byte* out = frame.memory + instr.slot;
    if (instr.output >= 0 && !partial && frame.direct[at(instr.output)]) {
      out = frame.outputs[at(instr.output)] +
            static_cast<std::size_t>(begin) * outputs_[at(instr.output)].element;
    }
    instr.fn(out, args.data(), lanes);
    frame.values[at(instr.value)] = {out, false};
  }
  store(frame, begin, n);
}

void MapProgram::store(Frame& frame, std::int64_t begin, std::int64_t n) const noexcept {
  for (std::size_t o = 0; o < outputs_.size(); ++o) {
    if (frame.outputs[o] == nullptr) continue;
    const Output& output = outputs_[o];
    std::byte* target = frame.outputs[o] + static_cast<std::size_t>(begin) * output.element;
    const TileArg& tile = frame.values[at(output.value)];
    if (tile.data == target) continue;
    const std::int64_t distinct = tile.splat ? 1 : n;
    if (output.convert != nullptr) {
      output.convert(target, tile.data, distinct);
    } else {
      std::memcpy(target, tile.data, static_cast<std::size_t>(distinct) * output.element);
    }
    for (std::int64_t i = 1; tile.splat && i < n; ++i) {
      std::memcpy(target + static_cast<std::size_t>(i) * output.element, target, output.element);
    }
  }
}

void MapProgram::run(Frame& frame, std::int64_t begin, std::int64_t end) const noexcept {
  while (begin < end) {
    const std::int64_t n = tile(begin, end);
    evaluate(frame, begin, n);
    begin += n;
  }
}

}  // namespace ingot
