// Tiles in shared memory, or lanes along the sum.
#include "ingot/backends/cuda/contractions/contract_kernels.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "ingot/backends/cuda/contractions/contract_problem.h"
#include "ingot/backends/cuda/contractions/direct_conv.h"
#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/reduce_plan.h"
#include "ingot/backends/cuda/kernels/strides.h"
#include "ingot/ir/body.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/conv2d_shape.h"
#include "ingot/ops/registry.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

/// A form of device/contract.inc with the share of the arithmetic peak it reaches, roughly.
struct TileForm {
  int bm, bn, bk, tm, tn, groups;
  double efficiency;
  /// Every thread sums a share of k for all of the tile: dots() in place of contract().
  bool dots = false;

  [[nodiscard]] int shared_bytes() const {
    if (dots) return bm * bn * (kThreads / 32) * 4;
    const int tiles = bk * (bm + 4 + bn + 4) * 4;
    const int sums = groups > 1 ? groups * bm * bn * 4 : 0;
    return std::max(tiles, sums);
  }
};

constexpr std::array kForms{
    TileForm{128, 128, 16, 8, 4, 1, 0.60},        TileForm{64, 128, 16, 4, 4, 1, 0.55},
    TileForm{64, 64, 16, 4, 4, 2, 0.45},          TileForm{32, 128, 16, 4, 4, 2, 0.42},
    TileForm{128, 32, 16, 4, 4, 2, 0.42},         TileForm{16, 256, 16, 4, 4, 2, 0.40},
    TileForm{8, 1024, 8, 4, 4, 1, 0.45},          TileForm{8, 512, 16, 8, 1, 1, 0.40},
    TileForm{8, 256, 16, 4, 1, 1, 0.30},          TileForm{32, 32, 64, 4, 4, 8, 0.30},
    TileForm{32, 32, 32, 2, 4, 4, 0.28},          TileForm{16, 32, 64, 2, 4, 8, 0.22},
    TileForm{8, 32, 64, 2, 4, 16, 0.15},          TileForm{16, 16, 64, 2, 2, 8, 0.15},
    TileForm{8, 8, kThreads, 8, 8, 1, 1, true},   TileForm{8, 4, kThreads, 8, 4, 1, 1, true},
    TileForm{4, 8, kThreads, 4, 8, 1, 1, true},   TileForm{4, 4, kThreads, 4, 4, 1, 1, true},
    TileForm{16, 2, kThreads, 16, 2, 1, 1, true}, TileForm{2, 16, kThreads, 2, 16, 1, 1, true}};

constexpr double kFmaPerCycle = 128;  // of one multiprocessor
// What another stage costs, in cycles: a barrier or a dependent node, and filling the machine.
constexpr double kStageCycles = 2500;
constexpr double kSlabCycles = 400;   // latency of one slab that nothing hides
constexpr double kStoreCycles = 600;  // from the last sum to a stored result
// Instructions around a loaded and a stored element; those of 128 elements issue in a cycle.
constexpr double kLoadInstructions = 30;
constexpr double kStoreInstructions = 20;
constexpr std::int64_t kMaxSplits = 256;
// Operations on a result on its way to memory, up to which their text may be there many times.
constexpr double kMostRepeated = 4;
// One row or column of outputs has nothing to reuse.
constexpr std::int64_t kDotRows = 2;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// How a problem is cut: its form, the parts of k, and what that is expected to take.
struct Choice {
  TileForm form = kForms[0];
  std::int64_t splits = 1;
  double cycles = std::numeric_limits<double>::infinity();
};

/// The problem as one block group sees it: sizes of an item, and how many there are.
struct Share {
  std::int64_t groups, m, n, k;
  std::int64_t copies = 1;      ///< items, each with the sizes above
  std::int64_t processors = 1;  ///< that work on all of it
  std::int64_t most_splits = kMaxSplits;
};

/// Cycles of one unit that sums `length` terms, and of its results' way to memory.
double unit_cycles(const TileForm& form, std::int64_t length) {
  if (form.dots) {
    // Loads of all terms are under way at once; each sum is then folded over the lanes.
    const auto rounds = static_cast<double>(ceil_div(length, kThreads));
    const double loads = (form.bm + form.bn) * kThreads / 128.0 * kLoadInstructions / 4;
    const double multiplies = form.bm * form.bn * kThreads / kFmaPerCycle;
    return rounds * (loads + multiplies) + kSlabCycles + form.bm * form.bn * kThreads / 32.0 + 200 +
           kStoreCycles;
  }
  const double multiplies = form.bm * form.bn * form.bk / (kFmaPerCycle * form.efficiency);
  const double loads = (form.bm + form.bn) * form.bk / 128.0 * kLoadInstructions;
  const auto slabs = static_cast<double>(ceil_div(length, form.bk));
  return slabs * (multiplies + loads + kSlabCycles) + kStoreCycles +
         form.bm * form.bn / 128.0 * kStoreInstructions;
}

Choice choose(const Share& s) {
  Choice best;
  for (const TileForm& form : kForms) {
    const std::int64_t tiles =
        s.copies * s.groups * ceil_div(s.m, form.bm) * ceil_div(s.n, form.bn);
    for (std::int64_t splits = 1; splits <= s.most_splits; splits *= 2) {
      const std::int64_t length = ceil_div(s.k, splits);
      if (splits > 1 && length < form.bk) break;
      const auto waves = static_cast<double>(ceil_div(tiles * splits, s.processors));
      double cycles = waves * unit_cycles(form, length);
      if (splits > 1) {
        const double parts = static_cast<double>(splits * s.groups * s.m * s.n);
        cycles += kStageCycles + parts / (4.0 * static_cast<double>(s.processors));
      }
      if (cycles < best.cycles) best = {form, splits, cycles};
    }
  }
  return best;
}

class ContractKernel final : public CudaKernel {
 public:
  explicit ContractKernel(const KernelProblem& problem)
      : CudaKernel(problem, "tiles"),
        region_(region_of(node(), inputs())),
        problem_(contract_problem(*region_.producer, region_)) {}

  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    const std::int64_t outputs = problem_.groups * problem_.m * problem_.n;
    std::int64_t splits = grid_splits();
    const std::int64_t items = batch_of_sum();
    // Sums by item are only asked for where the results are few.
    if (items > 1 && items * outputs <= kMaxItemSums) splits = std::max(splits, items);
    return splits == 1 ? 0 : splits * outputs * 4;
  }

  [[nodiscard]] bool separable(std::int64_t items) const override {
    if (problem_.batch == ContractProblem::Batch::none) return false;
    if (problem_.batch == ContractProblem::Batch::k) {
      // An item that adds one term to a sum has nothing to add up.
      return batch_of_sum() == items && problem_.k > items && has_bare_result() &&
             items * problem_.groups * problem_.m * problem_.n <= kMaxItemSums;
    }
    return true;
  }

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    Stage whole;
    whole.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    whole.mode = request.mode;
    whole.accesses = all_accesses(request, *this);
    for (const auto& [value, slot] : region_.operands) {
      whole.bytes += static_cast<double>(value.type().bytes());
    }
    if (node().output_type().numel() == 0) return {};
    const Share share = share_of(request);
    const bool is_product = region_.producer->op().attr_index("transpose_a") >= 0;
    const bool dot = std::min(share.m, share.n) <= kDotRows && share.groups == 1;
    if (is_product && dot) return dot_stages(request, whole);
    return tile_stages(request, share, whole);
  }

 private:
  static constexpr std::int64_t kMaxItemSums = 4 << 20;

  /// Items of a sum over the batch, 1 when it is none.
  [[nodiscard]] std::int64_t batch_of_sum() const {
    if (problem_.batch != ContractProblem::Batch::k) return 1;
    const Node& producer = *region_.producer;
    const std::int64_t items = producer.input_type(0).shape[0];
    return items > 0 && problem_.k % items == 0 ? items : 1;
  }
  [[nodiscard]] bool has_bare_result() const { return node().body() == nullptr; }

  [[nodiscard]] Share whole_share(int processors) const {
    return {problem_.groups, problem_.m, problem_.n, problem_.k, 1, processors};
  }
  /// The most parts of a sum over all blocks, for which there is a workspace.
  [[nodiscard]] std::int64_t grid_splits() const {
    std::int64_t splits = 1;
    for (const int processors : {108, 132, 148}) {
      splits = std::max(splits, choose(whole_share(processors)).splits);
    }
    return splits;
  }

  [[nodiscard]] Share share_of(const StageRequest& request) const {
    Share share = whole_share(request.multiprocessors);
    share.most_splits = grid_splits();
    if (request.mode == Mode::single) share.processors = 1;
    if (request.mode != Mode::item) return share;
    share.copies = request.items;
    share.processors = std::min<std::int64_t>(request.items, request.multiprocessors);
    share.most_splits = 1;
    if (problem_.batch == ContractProblem::Batch::m) share.m /= request.items;
    if (problem_.batch == ContractProblem::Batch::n) share.n /= request.items;
    if (problem_.batch == ContractProblem::Batch::k) share.k /= request.items;
    return share;
  }

  /// Stores an element whose producer's value is in `value`, at the coordinates c0, c1, ...
  void write_results(std::string& code, const std::string& value, bool early = false) const {
    const Shape& shape = problem_.result;
    std::vector<std::string> names;
    for (int axis = 0; axis < shape.rank(); ++axis) names.push_back(fmt::format("c{}", axis));
    const Layout& layout = region_.producer->outputs().front().layout;
    code += write_place();
    ElementWriter writer(code, region_,
                         {region_.producer->output_type().shape, names, "at", layout});
    writer.bind(const_cast<Node*>(region_.producer)->output(), value);
    for (std::size_t r = 0; r < region_.results.size(); ++r) {
      const Value& result = region_.results[r];
      const std::string text = writer.value(result);
      code += store_text(outputs()[r], result.dtype(), "at", text, early);
    }
  }
  /// DirectStore::row.
  void write_rows(std::string& code, int n, bool whole) const {
    const bool vectors =
        whole && n % 4 == 0 && region_.producer->outputs().front().layout.is_plain() &&
        std::ranges::all_of(region_.results,
                            [](const Value& r) { return r.dtype() == DType::f32; });
    const std::string loop = fmt::format("#pragma unroll\nfor (int p = 0; p < {}; ++p) {{\n", n);
    if (!vectors) {
      code += loop + "const u32 c3 = w + p;\nconst float total = totals[p];\nif (p < count) {\n";
      write_results(code, "total");
      code += "}\n}\n";
      return;
    }
    for (std::size_t r = 0; r < region_.results.size(); ++r) {
      code += fmt::format("float row{}[{}];\n", r, n);
    }
    code += loop + "const u32 c3 = w + p;\nconst float total = totals[p];\n" + write_place();
    ElementWriter writer(code, region_,
                         {region_.producer->output_type().shape,
                          {"c0", "c1", "c2", "c3"},
                          "at",
                          region_.producer->outputs().front().layout});
    writer.bind(const_cast<Node*>(region_.producer)->output(), "total");
    for (std::size_t r = 0; r < region_.results.size(); ++r) {
      const std::string value = writer.value(region_.results[r]);
      code += fmt::format("row{}[p] = {};\n", r, value);
    }
    code += "}\nconst u32 c3 = w;\n" + write_place();
    for (std::size_t r = 0; r < region_.results.size(); ++r) {
      code += store_row_text(outputs()[r], "at", fmt::format("row{}", r), n);
    }
  }
  /// Declares `at`, where the result with the coordinates c0, c1, ... lies.
  [[nodiscard]] std::string write_place() const {
    const Shape& shape = problem_.result;
    std::vector<std::string> names;
    for (int axis = 0; axis < shape.rank(); ++axis) names.push_back(fmt::format("c{}", axis));
    const Layout& layout = region_.producer->outputs().front().layout;
    return fmt::format("const i64 at = {};\n", offset_text(names, strides_of(layout, shape)->step));
  }

  [[nodiscard]] std::vector<Stage> dot_stages(const StageRequest& request,
                                              const Stage& whole) const {
    ReducePlan plan;
    plan.kept = problem_.result;
    const Shape flat{problem_.groups, problem_.m, problem_.n};
    plan.reduced = {problem_.k};
    plan.reduced_fast = problem_.b_along_n ? false : problem_.a_along_k;
    plan.components.assign(1, 's');
    plan.flops_per_term = 2;
    plan.term = [this](std::string& code, const std::string& out, const auto& kept,
                       const auto& reduced) {
      // The coordinates of the result give those of the problem back.
      (void)out;
      code += problem_.constants;
      code += from_coordinates(kept);
      code += fmt::format("const int k = {};\n", reduced[0]);
      code += fmt::format("const float fa = [&]() -> float {{ {} }}();\n", problem_.a);
      code += fmt::format("const float fb = [&]() -> float {{ {} }}();\n", problem_.b);
      return std::vector<std::string>{"fa * fb"};
    };
    plan.early_slot = early_slot();
    plan.store = result_store();
    const bool sum_by_item = request.mode == Mode::item && request.reduced;
    Stage own = whole;
    if (sum_by_item) {
      for (Access& access : own.accesses) access.by_item &= !access.write;
    }
    // Without a second stage: short sums are what this form is for.
    return reduce_stages(request, plan, sum_by_item ? request.items : 1, own);
  }

  /// g, m and n of a product from the result's coordinates.
  [[nodiscard]] std::string from_coordinates(const std::vector<std::string>& c) const {
    const Shape& shape = problem_.result;
    std::string lead = fmt::format("{}", 0);
    for (int axis = 0; axis < shape.rank() - 2; ++axis) {
      lead =
          fmt::format("({}) * {} + (int){}", lead, shape[axis], c[static_cast<std::size_t>(axis)]);
    }
    return fmt::format("const int g = {}, m = {}, n = {};\n", lead, c[c.size() - 2], c.back());
  }

  [[nodiscard]] std::vector<Stage> tile_stages(const StageRequest& request, const Share& share,
                                               const Stage& whole) const {
    const bool sum_by_item = request.mode == Mode::item && request.reduced;
    const Choice choice = choose(share);
    if (request.items > 0) {
      std::vector<Stage> direct = direct_stages(request, whole, choice.cycles);
      if (!direct.empty()) return direct;
    }
    const TileForm& f = choice.form;
    const std::int64_t splits = sum_by_item ? request.items : choice.splits;
    const std::int64_t outputs = problem_.result.numel();
    const std::int64_t tiles_m = ceil_div(share.m, f.bm);
    const std::int64_t tiles_n = ceil_div(share.n, f.bn);
    const std::int64_t tiles = share.groups * tiles_m * tiles_n;
    const bool by_item = request.mode == Mode::item;

    Stage first = whole;
    first.units = tiles * (by_item ? request.items : splits);
    first.units_per_item = by_item ? tiles : 0;
    first.shared_bytes = f.shared_bytes();
    first.flops = 2.0 * static_cast<double>(outputs) * static_cast<double>(problem_.k);
    first.unit_cycles = unit_cycles(f, by_item ? share.k : ceil_div(share.k, splits));
    std::string code =
        "struct Problem {\nconst Params& P; const i64 step, item; char* const local; const bool "
        "go; "
        "const int g, m1, n1, part;\n";
    // Operands of sums that are not stored may be any; a check would be a branch, which loads
    // cannot move past.
    const bool whole_m = share.m % f.bm == 0;
    const bool whole_n = share.n % f.bn == 0;
    const std::string_view check_m = whole_m ? "" : "if (m >= m1) return";
    const std::string_view check_n = whole_n ? "" : "if (n >= n1) return";
    code += fmt::format("float a(int m, int k) const {{ {}{}{}\n}}\n",
                        whole_m ? "" : "m = min(m, m1 - 1);\n", problem_.constants, problem_.a);
    code += fmt::format("float b(int k, int n) const {{ {}{}{}\n}}\n",
                        whole_n ? "" : "n = min(n, n1 - 1);\n", problem_.constants, problem_.b);
    // One result, of which each element is stored by itself, may find its operands early.
    const bool early = splits == 1 && has_bare_result() && problem_.exists.empty();
    code += fmt::format("typedef {} Early;\nEarly early(int m, int n) const {{\n",
                        early ? early_type(CudaKernel::outputs()[0]) : "NoEarly");
    if (early) {
      code += "m = min(m, m1 - 1);\nn = min(n, n1 - 1);\n" + problem_.constants +
              problem_.coordinates + write_place();
    }
    code += fmt::format("return {};\n}}\n",
                        early ? early_load(CudaKernel::outputs()[0], "at") : "NoEarly()");
    code += "void store(int m, int n, float total) const { store(m, n, total, early(m, n)); }\n";
    code += fmt::format(
        "void store(int m, int n, float total, const Early& early_) const {{\n{};\n{};\n", check_m,
        check_n);
    code += problem_.constants + problem_.coordinates;
    if (!problem_.exists.empty()) code += fmt::format("if (!({})) return;\n", problem_.exists);
    if (splits > 1) {
      write_part(code, "part");
    } else {
      write_results(code, "total", early);
    }
    code += "}\n};\n";
    const auto offset = [&](ContractProblem::Batch which, std::int64_t size) {
      return fmt::format("part * {}", by_item && problem_.batch == which ? size : 0);
    };
    code += fmt::format("const int tile = unit % {0}, part = unit / {0};\n", tiles);
    code += fmt::format("const int tm = tile % {0}, tn = tile / {0} % {1}, g = tile / {2};\n",
                        tiles_m, tiles_n, tiles_m * tiles_n);
    code += fmt::format("const int mb = {}, nb = {};\n", offset(ContractProblem::Batch::m, share.m),
                        offset(ContractProblem::Batch::n, share.n));
    if (by_item) {
      code += fmt::format("const int ka = {}, kb = ka + {};\n",
                          offset(ContractProblem::Batch::k, share.k), share.k);
    } else {
      // Whole slabs, so that no slab is cut.
      const std::int64_t length = ceil_div(ceil_div(problem_.k, splits), f.bk) * f.bk;
      code += fmt::format("const int ka = min(part * {0}, {1}), kb = min(ka + {0}, {1});\n", length,
                          problem_.k);
    }
    code += fmt::format(
        "const Problem problem{{P, step, item, local, go, g, mb + {}, nb + {}, part}};\n", share.m,
        share.n);
    if (f.dots) {
      code += fmt::format("dots<{}, {}>(problem, mb + tm * {}, nb + tn * {}, ka, kb, smem);\n",
                          f.bm, f.bn, f.bm, f.bn);
    } else {
      code += fmt::format(
          "contract<Problem, {}, {}, {}, {}, {}, {}, {}, {}>(problem, mb + tm * {}, nb + tn * {}, "
          "ka, kb, smem);\n",
          f.bm, f.bn, f.bk, f.tm, f.tn, f.groups, problem_.a_along_k, problem_.b_along_n, f.bm,
          f.bn);
    }
    first.body = std::move(code);
    if (splits == 1) return {std::move(first)};
    return with_sum(std::move(first), whole, splits);
  }

  /// Stores `total` as the result's part number `part`, in the result's own order, so that the next
  /// stage reads what it writes in step.
  void write_part(std::string& code, std::string_view part) const {
    const Shape& shape = problem_.result;
    std::vector<std::string> names;
    for (int axis = 0; axis < shape.rank(); ++axis) names.push_back(fmt::format("c{}", axis));
    code += fmt::format("((float*)@W@)[(i64){} * {} + {}] = total;\n", part, shape.numel(),
                        offset_text(names, shape.strides()));
  }

  /// `first`, which makes parts of the results, and the stage that adds them.
  [[nodiscard]] std::vector<Stage> with_sum(Stage first, const Stage& whole,
                                            std::int64_t splits) const {
    const bool by_item = first.mode == Mode::item;
    std::erase_if(first.accesses, [](const Access& access) { return access.write; });
    first.accesses.push_back({-1, true, by_item, problem_.result.numel() * 4});
    Stage rest = whole;
    if (by_item) {
      for (Access& access : rest.accesses) access.by_item = false;
    }
    return {std::move(first),
            add_parts(rest, problem_.result, splits, "s", result_store(), early_slot())};
  }

  /// Of sums whose output is the result's element.
  [[nodiscard]] StoreFn result_store() const {
    return [this](std::string& text, const std::string&, const auto& kept, const auto& totals) {
      for (std::size_t axis = 0; axis < kept.size(); ++axis) {
        text += fmt::format("const u32 c{} = {};\n", axis, kept[axis]);
      }
      write_results(text, totals[0], early_slot() >= 0);
    };
  }
  /// See ReducePlan: a plain result is in the order of the sums.
  [[nodiscard]] int early_slot() const {
    const bool plain = region_.producer->outputs().front().layout.is_plain();
    return plain && has_bare_result() ? outputs()[0] : -1;
  }

  /// Of an element.
  [[nodiscard]] double epilogue_flops() const {
    const double all = total_flops(node()) - total_flops(*region_.producer);
    return node().body() == nullptr ? 0 : all / static_cast<double>(problem_.result.numel());
  }

  /// The form without tiles, where it takes less than `cycles` in all.
  [[nodiscard]] std::vector<Stage> direct_stages(const StageRequest& request, const Stage& whole,
                                                 double cycles) const {
    const DirectStore store{
        [&](std::string& code) {
          if (request.reduced) {
            write_part(code, "own");
          } else {
            write_results(code, "total");
          }
        },
        [&](std::string& code, int n, bool whole) { write_rows(code, n, whole); },
        epilogue_flops() > kMostRepeated};
    const bool by_item = request.mode == Mode::item;
    std::optional<DirectConv> direct = direct_conv(*region_.producer, region_, store, !by_item,
                                                   request.items, request.multiprocessors);
    if (!direct) return {};
    const std::int64_t units = request.items * direct->parts;
    double own = static_cast<double>(ceil_div(units, request.multiprocessors)) * direct->cycles;
    // Over all blocks, the other form may have no parts that have to be added.
    if (!by_item && request.reduced) own += kStageCycles;
    if (own >= cycles) return {};
    Stage stage = whole;
    stage.units = units;
    stage.units_per_item = by_item ? 1 : 0;
    stage.shared_bytes = direct->shared_bytes;
    stage.unit_cycles = direct->cycles;
    stage.body = std::move(direct->body);
    stage.flops =
        2.0 * static_cast<double>(problem_.result.numel()) * static_cast<double>(problem_.k);
    if (!request.reduced) return {std::move(stage)};
    return with_sum(std::move(stage), whole, request.items);
  }

  Region region_;
  ContractProblem problem_;
};

/// Convolutions take operands by strides; a padded result of groups, or anything else of a product
/// that is not plain, has no kernel.
Support check_layouts(const Node& node, const Region& region) {
  const Node& producer = *region.producer;
  if (producer.output_type().shape.rank() != 4 || !conv2d_operands(producer.op())) {
    return check_types(node);
  }
  const Layout& layout = producer.outputs().front().layout;
  for (const Value& result : region.results) {
    if (result.layout() != layout) return Support::no("its results differ in layout");
  }
  for (const auto& [value, slot] : region.operands) {
    if (!strides_of(value)) return Support::no("an operand's layout has no strides");
  }
  const bool padded = strides_of(layout, producer.output_type().shape)->extent !=
                      producer.output_type().shape.to_vector();
  if (padded && node.body() != nullptr) return Support::no("an epilogue takes no padding");
  return Support::yes();
}

Support supports_contract(const Node& node, const Backend&) { return supports_tiles(node); }

std::unique_ptr<Kernel> make_contract(const KernelProblem& problem, const Backend&) {
  return make_tiles(problem);
}

}  // namespace

Support supports_tiles(const Node& node) {
  const Region region = region_of(node, std::vector<int>(node.inputs().size()));
  if (region.producer == nullptr || !is_contraction(*region.producer)) {
    return Support::no("it is no product or convolution");
  }
  if (const Support layouts = check_layouts(node, region); !layouts) return layouts;
  if (!region.reductions.empty()) return Support::no("an epilogue takes no reductions");
  const DType dtype = region.producer->input_type(0).dtype;
  if (dtype == DType::f64) return Support::no("its f64 terms would be summed in f32");
  for (const Value& result : region.results) {
    const Shape& shape = region.producer->output_type().shape;
    if (result.shape() != shape) {
      return Support::no(fmt::format("an epilogue of {} takes no {}", shape.to_string(),
                                     result.shape().to_string()));
    }
  }
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  const ContractProblem problem = contract_problem(*region.producer, region);
  return check_counts(problem.m * problem.groups, problem.n, problem.k, kMost);
}

std::unique_ptr<CudaKernel> make_tiles(const KernelProblem& problem) {
  return std::make_unique<ContractKernel>(problem);
}

void register_for_contractions(KernelTable& table, const KernelCandidate& candidate) {
  for (const OpDef* op : all_ops()) {
    if (op->traits.contraction || op == &fused_op()) table.register_kernel(op->name, candidate);
  }
}

void register_contract_kernels(KernelTable& table) {
  register_for_contractions(table, {"tiles", supports_contract, make_contract});
}

}  // namespace ingot::cuda
