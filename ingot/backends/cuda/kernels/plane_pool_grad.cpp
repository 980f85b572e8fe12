// The gradient of a maximum's windows on plain images. A block takes whole planes: it finds the
// winner of each window once, keeps the winners' places in its shared memory, and then every pixel
// gathers from the windows around it, in order of the taps.
#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/pool_window.h"
#include "ingot/backends/cuda/kernels/strides.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot::cuda {
namespace {

// Of winners' places, two bytes each.
constexpr std::int64_t kMostBytes = 32 << 10;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t windows_of(const Pool2dShape& s) { return s.output[2] * s.output[3]; }
std::int64_t pixels_of(const Pool2dShape& s) { return s.input[2] * s.input[3]; }
/// Windows that hold one pixel, along an axis.
std::int64_t meeting(const Pool2dShape& s, std::size_t axis) {
  return ceil_div(s.window.kernel[axis], s.window.stride[axis]);
}

/// Cycles of a unit of so many planes: what its warps issue, and their waiting, as measured for
/// operands in shared memory, where those of an item mostly are, or in the second-level cache.
double unit_cycles(const Pool2dShape& s, std::int64_t planes, bool by_item) {
  const double waits = by_item ? 1.3 : 2.4;
  const auto taps = static_cast<double>(s.window.kernel[0] * s.window.kernel[1]);
  const auto met = static_cast<double>(meeting(s, 0) * meeting(s, 1));
  const auto rounds = [&](std::int64_t elements) {
    return static_cast<double>(ceil_div(planes * elements, kThreads));
  };
  return 300 + waits * (rounds(windows_of(s)) * 4 * (20 + 8 * taps) +
                        rounds(pixels_of(s)) * 4 * (80 + 14 * met));
}

class PlanePoolGrad final : public CudaKernel {
 public:
  explicit PlanePoolGrad(const KernelProblem& problem)
      : CudaKernel(problem, "planes"),
        region_(region_of(node(), inputs())),
        shape_(pool2d_shape(*region_.producer)) {}

  [[nodiscard]] bool separable(std::int64_t) const override { return true; }

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    if (shape_.input.numel() == 0) return {};
    const bool by_item = request.mode == Mode::item;
    const std::int64_t items = by_item ? request.items : 1;
    const std::int64_t all = shape_.input[0] * shape_.input[1] / items;
    const std::int64_t fit = std::max<std::int64_t>(kMostBytes / 2 / windows_of(shape_), 1);
    const std::int64_t wanted = by_item ? all : ceil_div(all, request.multiprocessors);
    const std::int64_t planes = std::min(wanted, fit);
    Stage stage;
    stage.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    stage.mode = request.mode;
    stage.units_per_item = ceil_div(all, planes);
    stage.units = items * stage.units_per_item;
    stage.shared_bytes = static_cast<int>(planes * windows_of(shape_) * 2);
    stage.body = body(all, planes, stage.units_per_item);
    stage.accesses = all_accesses(request, *this);
    stage.flops = 2.0 * static_cast<double>(shape_.input.numel());
    for (const auto& [value, slot] : region_.operands) {
      stage.bytes += static_cast<double>(value.type().bytes());
    }
    stage.unit_cycles = unit_cycles(shape_, planes, by_item);
    return {std::move(stage)};
  }

 private:
  /// Of a unit of `planes` of the `all` that an item, or the batch, has.
  [[nodiscard]] std::string body(std::int64_t all, std::int64_t planes, std::int64_t units) const {
    const Node& producer = *region_.producer;
    std::string code;
    write_window(code, shape_);
    code += fmt::format(
        "const i64 part = unit / {0};\nconst int first = (unit - part * {0}) * {1}, own = "
        "min({1}, {2} - first);\nconst i64 plane = part * {2} + first;\n"
        "u16* const winners = (u16*)smem;  // [plane][window], first maximum\n",
        units, planes, all);
    code += fmt::format(
        "for (int e = threadIdx.x; e < own * (OH * OW); e += THREADS) {{\n"
        "const int ow = e % OW, oh = e / OW % OH;\n"
        "const i64 image = (plane + e / (OH * OW)) * (H * W);\n"
        "float best = 0.0f; int winner = -1;\n"
        "#pragma unroll\nfor (int ti = 0; ti < KH; ++ti) {{ const int h = oh * SH - PT + ti;\n"
        "if (h < 0 || h >= H) continue;\n"
        "#pragma unroll\nfor (int tj = 0; tj < KW; ++tj) {{ const int w = ow * SW - PL + tj;\n"
        "if (w < 0 || w >= W) continue;\n"
        "const float v = get({}, image + h * W + w);\n"
        "if (winner < 0 || (!(v <= best) && best == best)) {{ best = v; winner = h * W + w; }} }} "
        "}}\nwinners[e] = (u16)winner;\n}}\n__syncthreads();\n",
        operand_pointer(region_, producer, 0));
    code += fmt::format(
        "for (int e = threadIdx.x; e < own * (H * W); e += THREADS) {{\n"
        "const i64 i = plane * (H * W) + e;\n"
        "const int w0 = e % W, h0 = e / W % H, windows = e / (H * W) * (OH * OW);\n"
        "float pooled = 0.0f;\n"
        "#pragma unroll\nfor (int qi = 0; qi < {}; ++qi) {{ const int ph = (h0 + PT) / SH - qi;\n"
        "if (ph < 0 || ph >= OH || ph * SH - PT + KH <= h0) continue;\n"
        "#pragma unroll\nfor (int qj = 0; qj < {}; ++qj) {{ const int pw = (w0 + PL) / SW - qj;\n"
        "if (pw < 0 || pw >= OW || pw * SW - PL + KW <= w0) continue;\n"
        "const int window = windows + ph * OW + pw;\n"
        "if (winners[window] == h0 * W + w0) pooled += get({}, plane * (OH * OW) + window);\n}} "
        "}}\n",
        meeting(shape_, 0), meeting(shape_, 1), operand_pointer(region_, producer, 2));
    const Shape& result = producer.output_type().shape;
    ElementWriter writer(code, region_, {result, write_decode(code, "c", "i", result), "i"});
    writer.bind(const_cast<Node&>(producer).output(), "pooled");
    for (std::size_t r = 0; r < region_.results.size(); ++r) {
      const Value& value = region_.results[r];
      const std::string text = writer.value(value);
      code += store_text(outputs()[r], value.dtype(), "i", text);
    }
    return code + "}\n";
  }

  Region region_;
  Pool2dShape shape_;
};

Support supports_planes(const Node& node, const Backend&) {
  const Region region = region_of(node, std::vector<int>(node.inputs().size()));
  if (region.producer == nullptr || &region.producer->op() != &max_pool2d_grad_op()) {
    return Support::no("it is no gradient of a maximum's windows");
  }
  if (!region.reductions.empty()) return Support::no("it reduces");
  if (const Support types = check_types(node); !types) return types;
  const Pool2dShape shape = pool2d_shape(*region.producer);
  if (shape.window.dilation[0] != 1 || shape.window.dilation[1] != 1) {
    return Support::no("its windows have gaps");
  }
  if (pixels_of(shape) > std::numeric_limits<std::uint16_t>::max() ||
      windows_of(shape) * 2 > kMostBytes) {
    return Support::no("its planes are too large");
  }
  for (const Value& result : region.results) {
    if (result.shape() != region.producer->output_type().shape) {
      return Support::no("a result has another shape");
    }
  }
  return Support::yes();
}

std::unique_ptr<Kernel> make_planes(const KernelProblem& problem, const Backend&) {
  return std::make_unique<PlanePoolGrad>(problem);
}

}  // namespace

void register_plane_pool_grad_kernels(KernelTable& table) {
  for (const OpDef* op : {&max_pool2d_grad_op(), &fused_op()}) {
    table.register_kernel(op->name, {"planes", supports_planes, make_planes});
  }
}

}  // namespace ingot::cuda
