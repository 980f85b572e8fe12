#include "ingot/backends/cuda/kernels/reduce_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace ingot::cuda {
namespace {

constexpr std::int64_t kMaxSplits = 1024;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t power_of_two(std::int64_t n) {
  return static_cast<std::int64_t>(
      std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(n, 1))));
}

/// Lanes across outputs and across terms; their product is the block.
struct Lanes {
  std::int64_t tx;
  std::int64_t ty;
  /// Outputs of a lane, tx apart. More than one only of sums over the lanes of a warp.
  std::int64_t outputs = 1;

  [[nodiscard]] std::int64_t chunk() const { return tx * outputs; }
};

bool within_warps(const ReducePlan& plan, const Lanes& lanes) {
  return lanes.ty == 1 || (plan.reduced_fast && lanes.ty <= 32);
}

// Terms that a lane has under way at once.
constexpr std::int64_t kUnroll = 8;

/// Cycles of one unit: rounds of loads, what an added lane costs in exchanges, and the way in and
/// out.
double unit_cycles(const Lanes& lanes, std::int64_t length) {
  const double rounds = static_cast<double>(ceil_div(length, lanes.ty * kUnroll));
  const double exchanges = lanes.ty <= 1 ? 0 : lanes.ty <= 32 ? 150 : 350;
  return 350 + 550 * rounds + exchanges;
}

/// The lanes with which `processors` blocks are through first. Neighbouring lanes read neighbours,
/// at least eight of them where there are so many.
Lanes choose_lanes(const ReducePlan& plan, std::int64_t outputs, std::int64_t length,
                   std::int64_t processors) {
  Lanes best{kThreads, 1};
  double least = 0;
  for (std::int64_t ty = 1; ty <= kThreads; ty *= 2) {
    const Lanes lanes{kThreads / ty, ty};
    if (ty > power_of_two(length) && ty > 1) break;
    const std::int64_t neighbours = plan.reduced_fast ? ty : lanes.tx;
    const std::int64_t there = plan.reduced_fast ? length : outputs;
    const bool scattered = neighbours < std::min<std::int64_t>(8, power_of_two(there));
    const auto rounds = static_cast<double>(ceil_div(ceil_div(outputs, lanes.tx), processors));
    const double cycles = rounds * unit_cycles(lanes, length) * (scattered ? 2.0 : 1.0);
    if (least == 0 || cycles < least) {
      best = lanes;
      least = cycles;
    }
  }
  return best;
}

/// Cycles of one unit whose operands lie in shared memory.
double local_cycles(const ReducePlan& plan, const Lanes& lanes, std::int64_t outputs,
                    std::int64_t length) {
  const std::int64_t live = std::min(outputs, lanes.tx);
  const auto warps = static_cast<double>(ceil_div(live * lanes.ty, 32));
  const auto steps = static_cast<double>(ceil_div(length, lanes.ty));
  const auto sums = static_cast<double>(lanes.outputs);
  // Lanes of a warp that are rows apart meet in a bank.
  const std::int64_t neighbours = plan.reduced_fast ? lanes.ty : lanes.tx;
  const auto conflict = static_cast<double>(std::min(ceil_div(32, neighbours), live));
  const double issue = warps * steps * std::max(1 + sums, 1 + sums * conflict);
  const double latency = 30 * static_cast<double>(ceil_div(static_cast<std::int64_t>(steps), 8)) +
                         steps * (4 + 2 * sums);
  double exchange = 0;
  if (within_warps(plan, lanes)) {
    exchange = 30 * std::log2(static_cast<double>(lanes.ty)) + 4 * sums;
  } else {
    exchange = plan.reduced_fast || lanes.ty > 16 ? 240 : 90 + 6.0 * static_cast<double>(lanes.ty);
  }
  return 100 + std::max(issue, latency) + exchange;
}

Lanes choose_local_lanes(const ReducePlan& plan, std::int64_t outputs, std::int64_t length) {
  Lanes best{kThreads, 1};
  double least = 0;
  const bool sums_alone = plan.components.find_first_not_of('s') == std::string::npos;
  for (std::int64_t ty = 1; ty <= kThreads; ty *= 2) {
    if (ty > power_of_two(length) && ty > 1) break;
    const bool folds = plan.reduced_fast && sums_alone && ty == 32;
    for (std::int64_t own = 1; own <= (folds ? 8 : 1); own *= 2) {
      const Lanes lanes{kThreads / ty, ty, own};
      if (own > 1 && lanes.chunk() >= 2 * outputs) break;
      const double cycles = static_cast<double>(ceil_div(outputs, lanes.chunk())) *
                            local_cycles(plan, lanes, outputs, length);
      if (least != 0 && cycles >= least) continue;
      best = lanes;
      least = cycles;
    }
  }
  return best;
}

struct Cut {
  std::int64_t splits;   ///< parts of the terms
  std::int64_t length;   ///< terms of a part
  std::int64_t outputs;  ///< outputs of an item (or all)
  bool kept_items;       ///< parts are items, each with outputs of its own

  [[nodiscard]] bool split() const { return !kept_items && splits > 1; }
  /// Whether each split is one place along the first of the axes.
  [[nodiscard]] bool apart(const Shape& reduced) const {
    return split() && reduced.rank() > 1 && reduced[0] == splits &&
           length * splits == reduced.numel();
  }
};

using FinishFn = std::function<void(std::string&)>;

std::string output_text(const Cut& cut, std::string_view own) {
  return cut.kept_items ? fmt::format("(i64)part * {} + {}", cut.outputs, own)
                        : fmt::format("(i64){}", own);
}

/// Opens the loop over a lane's terms and returns the names of their coordinates.
std::vector<std::string> open_terms(std::string& code, const ReducePlan& plan, const Cut& cut,
                                    const Lanes& lanes) {
  const std::int64_t terms = plan.reduced.numel();
  const bool apart = cut.apart(plan.reduced);
  const std::int64_t unroll =
      std::max<std::int64_t>(kUnroll * 4 / std::max<std::int64_t>(lanes.outputs, 4), 1);
  const std::string first = cut.split() && !apart ? fmt::format("split * {} + ", cut.length) : "";
  code +=
      fmt::format("const i64 split = {};\n#pragma unroll {}\n", cut.split() ? "part" : "0", unroll);
  if (cut.length % lanes.ty == 0 && cut.length * (cut.split() ? cut.splits : 1) == terms) {
    // As many for every lane, so that loads need not wait for a look at the end.
    code += fmt::format("for (int q = 0; q < {}; ++q) {{\nconst i64 r = {}ty + (i64)q * {};\n",
                        cut.length / lanes.ty, first, lanes.ty);
  } else {
    const std::string end = cut.split() && !apart
                                ? fmt::format("min((i64){}, (split + 1) * {})", terms, cut.length)
                                : fmt::format("{}", apart ? cut.length : terms);
    code +=
        fmt::format("for (i64 r = {}ty, stop = {}; r < stop; r += {}) {{\n", first, end, lanes.ty);
  }
  if (!apart) return write_decode(code, "r", "r", plan.reduced);
  Shape rest{1};
  for (int axis = 1; axis < plan.reduced.rank(); ++axis) rest.push_back(plan.reduced[axis]);
  std::vector<std::string> names = write_decode(code, "r", "r", rest);
  names[0] = kSplitPlace;
  return names;
}

/// What a store to `slot` may need besides the total of `out`; nothing for slot -1.
std::string early_text(int slot) {
  if (slot < 0) return {};
  return fmt::format("const {} early_ = {};\n", early_type(slot), early_load(slot, "out"));
}

/// Totals of t0, t1, ... over the lanes of an output; each component has a part of smem.
std::string exchange_text(const std::string& components, const Lanes& lanes, bool fast) {
  std::string code;
  for (std::size_t c = 0; c < components.size(); ++c) {
    code += fmt::format("t{0} = over_lanes<{1}, {2}, {3}, {4}>(t{0}, smem + {5});\n", c, lanes.tx,
                        lanes.ty, fast, components[c] == 's' ? "OpSum" : "OpMax",
                        static_cast<std::int64_t>(c) * kThreads * 4);
  }
  return code;
}

/// Several outputs a lane: their sums are folded over the warp.
std::string write_folded(const ReducePlan& plan, const Cut& cut, const Lanes& lanes,
                         const std::string& early, const FinishFn& finish) {
  const std::int64_t chunks = ceil_div(cut.outputs, lanes.chunk());
  std::string code = fmt::format(
      "const int chunk = unit % {0}, part = unit / {0};\n"
      "const int ty = threadIdx.x % 32, tx = threadIdx.x / 32;\n",
      chunks);
  for (std::size_t c = 0; c < plan.components.size(); ++c) {
    code += fmt::format(
        "float a{0}[{1}];\n#pragma unroll\nfor (int j = 0; j < {1}; ++j) a{0}[j] = 0.0f;\n", c,
        lanes.outputs);
  }
  code += "{\n";
  const auto reduced = open_terms(code, plan, cut, lanes);
  code += fmt::format(
      "#pragma unroll\nfor (int j = 0; j < {}; ++j) {{\n"
      "const int own = min(chunk * {} + tx + j * {}, {});\nconst i64 out = {};\n",
      lanes.outputs, lanes.chunk(), lanes.tx, cut.outputs - 1, output_text(cut, "own"));
  const auto kept = write_decode(code, "k", "out", plan.kept);
  const auto values = plan.term(code, "out", kept, reduced);
  for (std::size_t c = 0; c < values.size(); ++c) {
    code += fmt::format("a{0}[j] += {1};\n", c, values[c]);
  }
  code += "}\n}\n}\n";
  code += "int first = 0, count = 0;\n";
  for (std::size_t c = 0; c < plan.components.size(); ++c) {
    code += fmt::format("first = 0; count = {0};\nFold<{0}, 16>::run(a{1}, ty, first, count);\n",
                        lanes.outputs, c);
  }
  code += fmt::format("const int own = chunk * {} + tx + first * {};\n", lanes.chunk(), lanes.tx);
  code += fmt::format("if (count > 0 && own < {}) {{\nconst int split = {};\nconst i64 out = {};\n",
                      cut.outputs, cut.split() ? "part" : "0", output_text(cut, "own"));
  code += early;
  write_decode(code, "k", "out", plan.kept);
  for (std::size_t c = 0; c < plan.components.size(); ++c) {
    code += fmt::format("const float t{0} = a{0}[0];\n", c);
  }
  finish(code);
  return code + "}\n";
}

/// The body that adds terms; `early` stands where `out` is known, `finish` writes what becomes of
/// `t0, t1, ...` of the output `out` and, where terms are split, the part `split`.
std::string write_totals(const ReducePlan& plan, const Cut& cut, const Lanes& lanes,
                         const std::string& early, const FinishFn& finish) {
  if (lanes.outputs > 1) return write_folded(plan, cut, lanes, early, finish);
  const std::int64_t chunks = ceil_div(cut.outputs, lanes.tx);
  std::string code;
  code += fmt::format("const int chunk = unit % {}, part = unit / {};\n", chunks, chunks);
  if (plan.reduced_fast) {
    code += fmt::format("const int ty = threadIdx.x % {0}, tx = threadIdx.x / {0};\n", lanes.ty);
  } else {
    code += fmt::format("const int tx = threadIdx.x % {0}, ty = threadIdx.x / {0};\n", lanes.tx);
  }
  code += fmt::format("const i64 own = (i64)chunk * {} + tx;\nconst bool live = own < {};\n",
                      lanes.tx, cut.outputs);
  for (std::size_t c = 0; c < plan.components.size(); ++c) {
    code += fmt::format("float t{} = {};\n", c, plan.components[c] == 's' ? "0.0f" : "-infinity()");
  }
  code += fmt::format("const i64 out = {};\n", output_text(cut, "(live ? own : 0)"));
  const auto kept = write_decode(code, "k", "out", plan.kept);
  code += early + "if (live) {\n";
  const auto reduced = open_terms(code, plan, cut, lanes);
  const auto values = plan.term(code, "out", kept, reduced);
  for (std::size_t c = 0; c < values.size(); ++c) {
    code += plan.components[c] == 's' ? fmt::format("t{} += {};\n", c, values[c])
                                      : fmt::format("t{0} = op_max(t{0}, {1});\n", c, values[c]);
  }
  code += "}\n}\n" + exchange_text(plan.components, lanes, plan.reduced_fast);
  code +=
      fmt::format("if (live && ty == 0) {{\nconst int split = {};\n", cut.split() ? "part" : "0");
  finish(code);
  code += "}\n";
  return code;
}

std::vector<std::string> total_names(const ReducePlan& plan) {
  std::vector<std::string> names;
  for (std::size_t c = 0; c < plan.components.size(); ++c) names.push_back(fmt::format("t{}", c));
  return names;
}

}  // namespace

std::int64_t reduce_splits(std::int64_t outputs, std::int64_t length, int multiprocessors) {
  // Enough blocks for the machine, each with terms enough to be worth a second stage.
  const std::int64_t blocks = ceil_div(outputs, 32);
  const std::int64_t wanted = ceil_div(2LL * multiprocessors, std::max<std::int64_t>(blocks, 1));
  const std::int64_t most = std::max<std::int64_t>(length / 512, 1);
  return std::clamp<std::int64_t>(std::min(wanted, most), 1, kMaxSplits);
}

Stage add_parts(const Stage& whole, const Shape& kept_shape, std::int64_t splits,
                const std::string& components, const StoreFn& store, int early_slot) {
  const std::int64_t outputs = kept_shape.numel();
  std::vector<std::string> totals;
  for (std::size_t c = 0; c < components.size(); ++c) totals.push_back(fmt::format("t{}", c));
  Stage second = whole;
  second.mode = Mode::grid;
  second.accesses.push_back({-1, false, false});
  second.flops = static_cast<double>(outputs * splits) * static_cast<double>(components.size());
  second.bytes = 4 * second.flops;
  // Lanes share the parts of an output where there are too few outputs for the machine.
  std::int64_t ty = std::min<std::int64_t>(power_of_two(splits), splits >= 128 ? 64 : 8);
  while (ty > 1 && outputs * ty >= std::int64_t{128} * kThreads) ty /= 2;
  const std::int64_t tx = kThreads / ty;
  second.units = ceil_div(outputs, tx);
  second.units_per_item = 0;
  second.shared_bytes = ty > 1 ? kThreads * 4 * static_cast<int>(components.size()) : 0;
  std::string code = fmt::format(
      "const int tx = threadIdx.x % {0}, ty = threadIdx.x / {0};\n"
      "const i64 own = (i64)unit * {0} + tx;\nconst bool live = own < {1};\n"
      "const i64 out = live ? own : 0;\n",
      tx, outputs);
  code += early_text(early_slot);
  for (std::size_t c = 0; c < components.size(); ++c) {
    code += fmt::format("float t{} = {};\n", c, components[c] == 's' ? "0.0f" : "-infinity()");
  }
  // All components in one loop and as many rounds for every lane, so that loads are under way
  // together; what is beyond the last part counts for nothing.
  const std::int64_t rounds = ceil_div(splits, ty);
  code += fmt::format("if (live) {{\n#pragma unroll {}\nfor (int q = 0; q < {}; ++q) {{\n",
                      std::min<std::int64_t>(rounds, 8), rounds);
  code += fmt::format("const int s = ty + q * {}, part = min(s, {});\n", ty, splits - 1);
  for (std::size_t c = 0; c < components.size(); ++c) {
    code += fmt::format(
        "const float v{0} = ((const float*)@W@)[((i64){0} * {1} + part) * {2} + out];\n", c, splits,
        outputs);
  }
  for (std::size_t c = 0; c < components.size(); ++c) {
    code += components[c] == 's'
                ? fmt::format("t{0} += s < {1} ? v{0} : 0.0f;\n", c, splits)
                : fmt::format("if (s < {1}) t{0} = op_max(t{0}, v{0});\n", c, splits);
  }
  code += "}\n}\n" + exchange_text(components, {tx, ty}, false);
  code += "if (live && ty == 0) {\n";
  const auto kept = write_decode(code, "k", "out", kept_shape);
  store(code, "out", kept, totals);
  code += "}\n";
  second.body = std::move(code);
  return second;
}

std::vector<Stage> reduce_stages(const StageRequest& request, const ReducePlan& plan,
                                 std::int64_t splits, const Stage& whole) {
  const std::int64_t outputs = plan.kept.numel();
  const std::int64_t terms = plan.reduced.numel();
  const bool by_item = request.mode == Mode::item;
  const bool kept_items = by_item && !request.reduced;
  const Cut cut{splits, splits == 1 ? terms : ceil_div(terms, splits),
                kept_items ? outputs / request.items : outputs, kept_items};
  const bool spread = request.mode == Mode::grid;
  const Lanes lanes = by_item ? choose_local_lanes(plan, cut.outputs, cut.length)
                              : choose_lanes(plan, spread ? cut.outputs * splits : cut.outputs,
                                             cut.length, spread ? request.multiprocessors : 1);
  Stage first = whole;
  first.mode = request.mode;
  const std::int64_t chunks = ceil_div(cut.outputs, lanes.chunk());
  const std::int64_t parts = kept_items ? request.items : splits;
  first.units = chunks * parts;
  first.units_per_item = by_item ? chunks : 0;
  const std::int64_t busy = std::min(cut.outputs, lanes.tx) * lanes.ty;
  if (within_warps(plan, lanes)) {
    if (chunks == 1) first.threads_used = static_cast<int>(ceil_div(busy, 32) * 32);
  } else {
    first.shared_bytes = kThreads * 4 * static_cast<int>(plan.components.size());
  }
  first.unit_cycles =
      by_item ? local_cycles(plan, lanes, cut.outputs, cut.length) : unit_cycles(lanes, cut.length);
  first.flops = plan.flops_per_term * static_cast<double>(outputs) * static_cast<double>(terms);
  const std::vector<std::string> totals = total_names(plan);
  const std::size_t components = plan.components.size();
  if (splits == 1) {
    first.body =
        write_totals(plan, cut, lanes, early_text(plan.early_slot), [&](std::string& code) {
          std::vector<std::string> kept;
          for (int axis = 0; axis < plan.kept.rank(); ++axis)
            kept.push_back(fmt::format("k{}", axis));
          plan.store(code, "out", kept, totals);
        });
    return {std::move(first)};
  }
  // Partial sums: [component][split][output].
  first.body = write_totals(plan, cut, lanes, "", [&](std::string& code) {
    for (std::size_t c = 0; c < components; ++c) {
      code += fmt::format("((float*)@W@)[((i64){} * {} + split) * {} + out] = t{};\n", c, splits,
                          outputs, c);
    }
  });
  std::erase_if(first.accesses, [&](const Access& a) { return a.write && by_item && !a.by_item; });
  first.accesses.push_back({-1, true, by_item, outputs * 4});

  return {std::move(first),
          add_parts(whole, plan.kept, splits, plan.components, plan.store, plan.early_slot)};
}

}  // namespace ingot::cuda
