#include "ingot/backends/cuda/kernels/vector_walk.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "ingot/backends/cuda/kernels/strides.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ops/node_kinds.h"

namespace ingot::cuda {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Steps of a Value along the axes of `to`, 0 where it repeats; none when it does not broadcast or
/// has no such steps.
std::optional<std::vector<std::int64_t>> steps_along(const Value& value, const Shape& to) {
  const Shape& shape = value.shape();
  const auto own = strides_of(value);
  const int lead = to.rank() - shape.rank();
  if (!own || lead < 0) return std::nullopt;
  std::vector<std::int64_t> steps(static_cast<std::size_t>(to.rank()), 0);
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] == 1) continue;
    const int there = axis + lead;
    if (shape[axis] != to[there]) return std::nullopt;
    steps[static_cast<std::size_t>(there)] = own->step[static_cast<std::size_t>(axis)];
  }
  return steps;
}

/// The largest divisor of `n` up to `most`.
std::int64_t divisor_below(std::int64_t n, std::int64_t most) {
  for (std::int64_t d = std::min(n, most); d > 1; --d) {
    if (n % d == 0) return d;
  }
  return 1;
}

}  // namespace

std::optional<int> inner_axis(const Layout& layout, const Shape& shape) {
  if (shape.rank() == 0 || !strides_of(layout, shape)) return std::nullopt;
  return layout.order().empty() ? shape.rank() - 1 : layout.order().back();
}

std::optional<VectorWalk> VectorWalk::of(const Shape& shape, const Layout& layout, int vector,
                                         bool flat) {
  const auto axis = inner_axis(layout, shape);
  const auto strides = strides_of(layout, shape);
  if (!axis || shape.numel() == 0) return std::nullopt;
  VectorWalk walk;
  walk.shape = shape;
  walk.layout = layout;
  walk.axis = *axis;
  walk.vector = vector;
  for (int place = 0; place + 1 < shape.rank(); ++place) {
    walk.outer.push_back(layout.order().empty() ? place
                                                : layout.order()[static_cast<std::size_t>(place)]);
  }
  walk.channels = shape[walk.axis];
  walk.padded = strides->extent[static_cast<std::size_t>(walk.axis)];
  walk.rows = shape.numel() / walk.channels;
  walk.flat = flat && !walk.is_padded();
  if (walk.flat) {
    if (shape.numel() % vector != 0) return std::nullopt;
    walk.channels = walk.padded = vector * divisor_below(shape.numel() / vector, kThreads);
    walk.rows = shape.numel() / walk.channels;
  }
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  if (walk.padded % vector != 0 || walk.rows >= kMost / 2) return std::nullopt;
  walk.narrow(kThreads);
  return walk;
}

void VectorWalk::narrow(std::int64_t most) {
  columns = ceil_div(groups(), std::min(groups(), most));
  tx = ceil_div(groups(), columns);
  ty = kThreads / tx;
}

std::int64_t VectorWalk::row_blocks(std::int64_t unroll) const {
  return ceil_div(rows, ty * unroll);
}

Reach VectorWalk::reach(const Value& value) const {
  if (has_bits(value.layout())) return has_bits_of(value) ? Reach::bits : Reach::none;
  if (value.type().numel() == 1) return Reach::scalar;
  if (is_whole(value)) return Reach::whole;
  const auto steps = steps_along(value, shape);
  if (flat || !steps) return Reach::none;
  const std::int64_t inner = (*steps)[static_cast<std::size_t>(axis)];
  if (inner == 0) return Reach::row;
  if (inner != 1 || !has_lane(value.dtype())) return Reach::apart;
  const bool outer_too = std::ranges::any_of(
      outer, [&](int other) { return (*steps)[static_cast<std::size_t>(other)] != 0; });
  if (!outer_too) return Reach::channel;
  const bool aligned = !is_padded() && std::ranges::all_of(outer, [&](int other) {
    return (*steps)[static_cast<std::size_t>(other)] % vector == 0;
  });
  return aligned ? Reach::image : Reach::apart;
}

bool has_lane(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::u8 ||
         dtype == DType::boolean;
}

Support supports_walk(const Region& region, const VectorWalk& walk) {
  constexpr std::int64_t kFewElements = 4 << 20;
  if (walk.layout.is_plain() && walk.shape.numel() < kFewElements) {
    return Support::no("it is plain and small");
  }
  for (const Value& result : region.results) {
    if (result.shape() != walk.shape) {
      if (!result.layout().is_plain()) return Support::no("a smaller result is not plain");
      continue;
    }
    const bool fits = walk.has_bits_of(result) || walk.is_whole(result);
    if (!fits || !has_lane(result.dtype())) {
      return Support::no(fmt::format("no vectors hold a result of {}", result.type().to_string()));
    }
  }
  for (const auto& [value, slot] : region.operands) {
    const Reach reach = walk.reach(value);
    if (reach == Reach::none || (reach == Reach::whole && !has_lane(value.dtype()))) {
      return Support::no(fmt::format("no vectors hold an operand of {}", value.type().to_string()));
    }
  }
  return Support::yes();
}

Layout layout_of(const Region& region, const Shape& shape) {
  for (const Value& result : region.results) {
    if (result.shape() == shape) return in_elements(result.layout());
  }
  Layout layout;
  for (const auto& [value, slot] : region.operands) {
    if (value.shape() == shape && !value.layout().is_plain()) {
      layout = in_elements(value.layout());
    }
  }
  return layout;
}

int vector_of(const Region& region, const Shape& shape) {
  const auto narrow = [&](const Value& value) {
    return value.shape() == shape && dtype_size(value.dtype()) <= 2;
  };
  bool any = std::ranges::any_of(region.results, narrow);
  for (const auto& [value, slot] : region.operands) any |= narrow(value);
  return any ? 8 : 4;
}

int words_of(const VectorWalk& walk, DType dtype) {
  return static_cast<int>(static_cast<std::int64_t>(dtype_size(dtype)) * walk.vector / 4);
}

void write_place(std::string& code, const VectorWalk& walk, std::int64_t slices) {
  code += fmt::format("typedef {} Index;\n",
                      walk.rows * walk.padded < (std::int64_t{1} << 31) ? "u32" : "u64");
  code += fmt::format("const u32 tx = threadIdx.x % {0}u, ty = threadIdx.x / {0}u;\n", walk.tx);
  if (walk.columns == 1) {
    code += "const u32 group = tx, slice = unit;\n";
  } else {
    code += fmt::format("const u32 group = unit % {0} * {1} + tx, slice = unit / {0};\n",
                        walk.columns, walk.tx);
  }
  code += fmt::format("const u32 c = group * {};\n", walk.vector);
  code += fmt::format("const bool live = ty < {}u && group < {}u;\n", walk.ty, walk.groups());
  code += fmt::format("const u32 first = slice * {0}u + ty, step_rows = {1}u;\n", walk.ty,
                      walk.ty * slices);
}

std::string vector_address(const VectorWalk& walk, int slot, DType dtype, bool writable) {
  return fmt::format("({} + ((Index)row * {}u + c))", pointer_to(slot, dtype, writable),
                     walk.padded);
}

void write_set(std::string& code, const VectorWalk& walk, const std::string& name, DType dtype,
               const std::string& value) {
  const std::string text = walk.is_padded() ? fmt::format("(c + e < {}u ? {} : ({})0)",
                                                          walk.channels, value, compute_type(dtype))
                                            : value;
  code += fmt::format("Lane<{}>::set({}.w, e, {});\n", storage_type(dtype), name, text);
}

namespace {

/// Address text of the byte that holds the walk's vector at `row`.
std::string bits_address(const VectorWalk& walk, int slot, bool writable) {
  return fmt::format("({} + ((Index)row * {}u + c) / 8u)", pointer_to(slot, DType::u8, writable),
                     walk.padded);
}

}  // namespace

void VectorResult::write_declaration(std::string& code) const {
  code += has_bits(value_.layout())
              ? fmt::format("u32 {} = 0;\n", name_)
              : fmt::format("Raw<{}> {};\n", words_of(walk_, value_.dtype()), name_);
}

void VectorResult::write_element(std::string& code, ElementWriter& writer) const {
  const std::string text = writer.value(value_);
  if (!has_bits(value_.layout())) return write_set(code, walk_, name_, value_.dtype(), text);
  const std::string there = walk_.is_padded() ? fmt::format("c + e < {}u && ", walk_.channels) : "";
  code += fmt::format("{} |= ({}{} ? 1u : 0u) << e;\n", name_, there, text);
}

void VectorResult::write_store(std::string& code) const {
  if (has_bits(value_.layout())) {
    code += fmt::format("*{} = (u8){};\n", bits_address(walk_, slot_, true), name_);
  } else {
    code += fmt::format("store_words({}, {});\n",
                        vector_address(walk_, slot_, value_.dtype(), true), name_);
  }
}

double bytes_of(const Value& value) {
  return static_cast<double>(value.layout().physical_bytes(value.type()));
}

VectorReader::VectorReader(const Region& region, const VectorWalk& walk,
                           const std::vector<Value>& wanted)
    : region_(region), walk_(walk) {
  for (const Value& value : wanted) collect(value);
}

int VectorReader::row_words() const {
  int words = 0;
  for (const Operand& operand : operands_) {
    const bool loads = operand.reach == Reach::whole || operand.reach == Reach::image;
    if (loads) words += words_of(walk_, operand.value.dtype());
    if (operand.reach == Reach::bits) ++words;
  }
  return words;
}

/// Words of `rows` rows and vectors that stay, roughly.
int VectorReader::registers(int rows, int totals) const {
  return rows * row_words() + (totals + static_cast<int>(staying_.size())) * walk_.vector;
}

int VectorReader::rows_at_once(int totals) const {
  // Of the 128 that a thread has.
  constexpr int kRegisters = 112;
  int rows = 4;
  while (rows > 1 && registers(rows, totals) > kRegisters) rows /= 2;
  return rows;
}

int VectorReader::blocks_at_once(int totals) const {
  // Two blocks share a multiprocessor where a thread needs half of its registers, those of
  // addresses and loops included.
  constexpr int kRegisters = 48;
  return registers(rows_at_once(totals), totals) <= kRegisters ? 2 : 1;
}

bool VectorReader::is_constant(const Value& value) const {
  if (const auto it = seen_.find(value); it != seen_.end()) return it->second;
  return false;
}

/// Operands in the order of use, and what is the same for all rows.
void VectorReader::collect(const Value& value) {
  if (seen_.contains(value)) return;
  if (const auto it = region_.operands.find(value); it != region_.operands.end()) {
    const Reach reach = walk_.reach(value);
    seen_[value] = reach == Reach::channel || reach == Reach::scalar;
    operands_.push_back({value, it->second, reach, fmt::format("x{}", operands_.size())});
    return;
  }
  if (&value.node()->op() == &constant_op()) {
    seen_[value] = true;
    return;
  }
  bool constant = value.type().numel() < walk_.shape.numel();
  for (const Value& input : value.node()->inputs()) {
    collect(input);
    constant &= is_constant(input);
  }
  seen_[value] = constant;
  if (constant) {
    constants_.push_back(value);
    return;
  }
  for (const Value& input : value.node()->inputs()) {
    if (is_constant(input) && input.type().numel() > 1) staying_.insert(input);
  }
}

void VectorReader::write_channel_load(std::string& code, const Operand& operand) const {
  const DType dtype = operand.value.dtype();
  const std::string pointer = pointer_to(operand.slot, dtype);
  const std::string body =
      walk_.is_padded()
          ? fmt::format("{}[e] = get({}, c + e < {}u ? c + e : 0u);", operand.name, pointer,
                        walk_.channels)
          : fmt::format("{}[e] = Lane<{}>::get(words.w, e);", operand.name, storage_type(dtype));
  code += fmt::format("{} {}[{}];\n{{\n", compute_type(dtype), operand.name, walk_.vector);
  if (!walk_.is_padded()) {
    code += fmt::format("const Raw<{0}> words = load_words<{0}>({1} + c);\n",
                        words_of(walk_, dtype), pointer);
  }
  code += fmt::format("#pragma unroll\nfor (int e = 0; e < {}; ++e) {}\n}}\n", walk_.vector, body);
}

void VectorReader::write_constants(std::string& code) const {
  for (const Operand& operand : operands_) {
    if (operand.reach == Reach::scalar) {
      code += fmt::format("const {} {} = get({}, 0);\n", compute_type(operand.value.dtype()),
                          operand.name, pointer_to(operand.slot, operand.value.dtype()));
    } else if (operand.reach == Reach::channel) {
      write_channel_load(code, operand);
    }
  }
  if (constants_.empty()) return;
  for (std::size_t i = 0; i < constants_.size(); ++i) {
    code += fmt::format("{} h{}[{}];\n", compute_type(constants_[i].dtype()), i, walk_.vector);
  }
  code += fmt::format("#pragma unroll\nfor (int e = 0; e < {}; ++e) {{\n", walk_.vector);
  ElementWriter writer(code, region_, {walk_.shape, {}, {}});
  for (const Operand& operand : operands_) {
    if (operand.reach == Reach::scalar) writer.bind(operand.value, operand.name);
    if (operand.reach == Reach::channel) writer.bind(operand.value, operand.name + "[e]");
  }
  for (std::size_t i = 0; i < constants_.size(); ++i) {
    const std::string text = writer.value(constants_[i]);
    code += fmt::format("h{}[e] = {};\n", i, text);
  }
  code += "}\n";
}

void VectorReader::write_declarations(std::string& code, int unroll) const {
  for (const Operand& operand : operands_) {
    const DType dtype = operand.value.dtype();
    if (operand.reach == Reach::whole || operand.reach == Reach::image) {
      code += fmt::format("Raw<{}> {}[{}];\n", words_of(walk_, dtype), operand.name, unroll);
    } else if (operand.reach == Reach::bits) {
      code += fmt::format("u32 {}[{}];\n", operand.name, unroll);
    } else if (operand.reach == Reach::row) {
      code += fmt::format("{} {}[{}];\n", compute_type(dtype), operand.name, unroll);
    }
  }
}

/// Texts of the coordinates of `row` and of element e; channels that exist in memory alone stand
/// for the last one.
std::vector<std::string> VectorReader::coordinates() const {
  std::vector<std::string> names(static_cast<std::size_t>(walk_.shape.rank()));
  std::int64_t below = 1;
  for (auto it = walk_.outer.rbegin(); it != walk_.outer.rend(); ++it) {
    const std::int64_t size = walk_.shape[*it];
    std::string text = below == 1 ? "row" : fmt::format("row / {}u", below);
    if (it + 1 != walk_.outer.rend()) text += fmt::format(" % {}u", size);
    names[static_cast<std::size_t>(*it)] = "(" + text + ")";
    below *= size;
  }
  names[static_cast<std::size_t>(walk_.axis)] =
      walk_.is_padded() ? fmt::format("min(c + e, {}u)", walk_.channels - 1) : "(c + e)";
  return names;
}

/// Of the operand's element, or its first one of the vector, in `row`.
std::string VectorReader::offset(const Operand& operand) const {
  auto steps = *steps_along(operand.value, walk_.shape);
  const auto at = static_cast<std::size_t>(walk_.axis);
  const bool moves = steps[at] != 0;
  steps[at] = 0;
  const std::string text = offset_text(coordinates(), steps);
  return moves ? text + " + c" : text;
}

void VectorReader::write_loads(std::string& code) const {
  for (const Operand& operand : operands_) {
    const DType dtype = operand.value.dtype();
    if (operand.reach == Reach::whole) {
      code += fmt::format("{}[q] = load_words<{}>({});\n", operand.name, words_of(walk_, dtype),
                          vector_address(walk_, operand.slot, dtype, false));
    } else if (operand.reach == Reach::bits) {
      code += fmt::format("{}[q] = *{};\n", operand.name, bits_address(walk_, operand.slot, false));
    } else if (operand.reach == Reach::image) {
      code += fmt::format("{}[q] = load_words<{}>({} + ({}));\n", operand.name,
                          words_of(walk_, dtype), pointer_to(operand.slot, dtype), offset(operand));
    } else if (operand.reach == Reach::row) {
      code += fmt::format("{}[q] = get({}, {});\n", operand.name, pointer_to(operand.slot, dtype),
                          offset(operand));
    }
  }
}

ElementWriter VectorReader::element(std::string& code) const {
  ElementWriter writer(code, region_,
                       {walk_.shape, walk_.flat ? std::vector<std::string>{} : coordinates(), {}});
  for (std::size_t i = 0; i < constants_.size(); ++i) {
    writer.bind(constants_[i], fmt::format("h{}[e]", i));
  }
  for (const Operand& operand : operands_) {
    const DType dtype = operand.value.dtype();
    switch (operand.reach) {
      case Reach::scalar: writer.bind(operand.value, operand.name); break;
      case Reach::channel: writer.bind(operand.value, operand.name + "[e]"); break;
      case Reach::row: writer.bind(operand.value, operand.name + "[q]"); break;
      case Reach::bits: {
        const std::string element = operand.name + "e";
        code += fmt::format("const bool {} = ({}[q] >> e & 1u) != 0;\n", element, operand.name);
        writer.bind(operand.value, element);
        break;
      }
      case Reach::whole:
      case Reach::image: {
        const std::string element = operand.name + "e";
        code += fmt::format("const {} {} = Lane<{}>::get({}[q].w, e);\n", compute_type(dtype),
                            element, storage_type(dtype), operand.name);
        writer.bind(operand.value, element);
        break;
      }
      case Reach::apart:
      case Reach::none: break;
    }
  }
  return writer;
}

}  // namespace ingot::cuda
