// Times the tensor-core kernels on a GPU and checks them: each problem in several forms of tile,
// launched one after another in one captured graph. Without a GPU it compiles them.
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ingot/backends/cuda/cuda_device.h"
#include "ingot/backends/cuda/driver.h"
#include "ingot/backends/cuda/mma_kernels.h"
#include "ingot/backends/cuda/nvrtc.h"
#include "ingot/backends/cuda/step_source.h"
#include "ingot/base/philox.h"
#include "ingot/ir/op_def.h"
#include "ingot/memory/buffer.h"
#include "ingot/ops/conv2d_shape.h"
#include "ingot/ops/op_list.h"
#include "ingot/runtime/program.h"

namespace ingot::cuda {
namespace {

enum class Kind : std::uint8_t { forward, input_grad, weight_grad, product };

struct Problem {
  std::string name;
  Kind kind;
  DType dtype;
  // Convolution: batch, channels, image, output channels, kernel, stride. Product: m, k, n.
  std::int64_t batch, in, image, out, kernel, stride;
  bool plain_input = false;
  bool transpose_a = false, transpose_b = false;
};

Layout channels_last(const Shape& shape, DType dtype, bool is_weight) {
  const auto block = static_cast<std::int64_t>(16 / dtype_size(dtype));
  std::vector<Layout::Block> blocks;
  if (shape[1] % block != 0) blocks.push_back({1, is_weight || shape[1] < 8 ? block : 8});
  return Layout({0, 2, 3, 1}, blocks);
}

/// The Node with its operands as placeholders.
std::unique_ptr<Graph> graph_of(const Problem& p) {
  auto graph = std::make_unique<Graph>();
  const auto operand = [&](const char* name, const Shape& shape, const Layout& layout) {
    const Value value = graph->placeholder(name, {p.dtype, shape});
    value.node()->set_layout(0, layout);
    return value;
  };
  Node* node = nullptr;
  if (p.kind == Kind::product) {
    const Shape a = p.transpose_a ? Shape{p.in, p.batch} : Shape{p.batch, p.in};
    const Shape b = p.transpose_b ? Shape{p.out, p.in} : Shape{p.in, p.out};
    const AttrList attrs{{"transpose_a", p.transpose_a}, {"transpose_b", p.transpose_b}};
    node = graph->add(matmul_op(), {operand("a", a, {}), operand("b", b, {})}, attrs);
  } else {
    Conv2dOptions options;
    options.stride = {p.stride, p.stride};
    const std::int64_t pad = p.kernel / 2;
    options.padding = {pad, pad, pad, pad};
    const std::int64_t side = (p.image + 2 * pad - p.kernel) / p.stride + 1;
    const Shape x{p.batch, p.in, p.image, p.image};
    const Shape w{p.out, p.in, p.kernel, p.kernel};
    const Shape y{p.batch, p.out, side, side};
    const Layout lx = p.plain_input ? Layout{} : channels_last(x, p.dtype, false);
    const Layout lw = channels_last(w, p.dtype, true);
    const Layout ly = channels_last(y, p.dtype, false);
    AttrList attrs = to_attrs(options);
    if (p.kind == Kind::forward) {
      node = graph->add(conv2d_op(), {operand("x", x, lx), operand("w", w, lw)}, attrs);
      node->set_layout(0, ly);
    } else if (p.kind == Kind::input_grad) {
      attrs.emplace_back("input_shape", x.to_vector());
      node = graph->add(conv2d_input_grad_op(), {operand("g", y, ly), operand("w", w, lw)}, attrs);
      node->set_layout(0, lx);
    } else {
      attrs.emplace_back("weight_shape", w.to_vector());
      node = graph->add(conv2d_weight_grad_op(), {operand("x", x, lx), operand("g", y, ly)}, attrs);
      node->set_layout(0, lw);
    }
  }
  graph->fetch("y", node->output());
  return graph;
}

/// The Node alone, with a slot for each of its Values.
Program program_of(const Problem& problem) {
  Program program;
  program.graph = graph_of(problem);
  const Node* last = program.graph->nodes().back().get();
  const auto add_slot = [&](const Value& value) {
    Slot slot;
    slot.storage = Slot::Storage::feed;
    slot.value = value;
    slot.root = static_cast<int>(program.slots.size());
    program.slots.push_back(slot);
    return slot.root;
  };
  Launch launch;
  launch.node = last;
  for (const Value& input : last->inputs()) launch.inputs.push_back(add_slot(input));
  launch.outputs.push_back(add_slot(const_cast<Node*>(last)->output()));
  program.main.push_back(std::move(launch));
  return program;
}

/// A value as the device keeps it, and what it stands for.
struct HostData {
  std::vector<std::byte> bytes;
  std::vector<double> values;  ///< logical order
};

float round_to(float value, DType dtype) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, 4);
  const std::uint32_t half = 0x7fffU + ((bits >> 16) & 1U);
  if (dtype == DType::bf16) bits = (bits + half) & 0xffff0000U;
  std::memcpy(&value, &bits, 4);
  return value;
}

HostData random_data(const Value& value, std::uint64_t seed) {
  const Shape& shape = value.shape();
  const DType dtype = value.dtype();
  HostData data;
  data.bytes.resize(static_cast<std::size_t>(value.layout().physical_bytes(value.type())));
  data.values.resize(static_cast<std::size_t>(shape.numel()));
  std::vector<std::int64_t> index(static_cast<std::size_t>(shape.rank()));
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    std::int64_t rest = i;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      index[static_cast<std::size_t>(axis)] = rest % shape[axis];
      rest /= shape[axis];
    }
    const double unit =
        philox_to_uniform(philox_word(seed, 0, 0, static_cast<std::uint64_t>(i))) - 0.5;
    const float v = round_to(static_cast<float>(unit), dtype);
    data.values[static_cast<std::size_t>(i)] = v;
    const auto at = static_cast<std::size_t>(value.layout().offset(shape, index.data()));
    if (dtype == DType::f32) {
      std::memcpy(data.bytes.data() + 4 * at, &v, 4);
    } else {
      std::uint32_t bits = 0;
      std::memcpy(&bits, &v, 4);
      const auto high = static_cast<std::uint16_t>(bits >> 16);
      std::memcpy(data.bytes.data() + 2 * at, &high, 2);
    }
  }
  return data;
}

double read(const std::vector<std::byte>& bytes, DType dtype, std::int64_t at) {
  const auto place = static_cast<std::size_t>(at);
  std::uint32_t bits = 0;
  if (dtype == DType::f32) {
    std::memcpy(&bits, bytes.data() + 4 * place, 4);
  } else {
    std::uint16_t high = 0;
    std::memcpy(&high, bytes.data() + 2 * place, 2);
    bits = static_cast<std::uint32_t>(high) << 16;
  }
  float v = 0;
  std::memcpy(&v, &bits, 4);
  return v;
}

struct Sum {
  double value = 0, magnitude = 0;
  void add(double a, double b) {
    value += a * b;
    magnitude += std::abs(a * b);
  }
};

/// One element of the result, summed in double.
Sum reference(const Problem& p, const Node& node, const HostData& a, const HostData& b,
              const std::vector<std::int64_t>& c) {
  Sum sum;
  const auto at = [](const HostData& d, const Shape& s, std::initializer_list<std::int64_t> i) {
    std::int64_t flat = 0;
    int axis = 0;
    for (const std::int64_t v : i) flat = flat * s[axis++] + v;
    return d.values[static_cast<std::size_t>(flat)];
  };
  const Shape& sa = node.input_type(0).shape;
  const Shape& sb = node.input_type(1).shape;
  if (p.kind == Kind::product) {
    for (std::int64_t k = 0; k < p.in; ++k) {
      sum.add(p.transpose_a ? at(a, sa, {k, c[0]}) : at(a, sa, {c[0], k}),
              p.transpose_b ? at(b, sb, {c[1], k}) : at(b, sb, {k, c[1]}));
    }
    return sum;
  }
  const std::int64_t pad = p.kernel / 2;
  const std::int64_t side = (p.image + 2 * pad - p.kernel) / p.stride + 1;
  if (p.kind == Kind::weight_grad) {
    for (std::int64_t n = 0; n < p.batch; ++n) {
      for (std::int64_t y = 0; y < side; ++y) {
        for (std::int64_t x = 0; x < side; ++x) {
          const std::int64_t h = y * p.stride + c[2] - pad;
          const std::int64_t w = x * p.stride + c[3] - pad;
          if (h < 0 || w < 0 || h >= p.image || w >= p.image) continue;
          sum.add(at(a, sa, {n, c[1], h, w}), at(b, sb, {n, c[0], y, x}));
        }
      }
    }
    return sum;
  }
  for (std::int64_t i = 0; i < p.kernel; ++i) {
    for (std::int64_t j = 0; j < p.kernel; ++j) {
      if (p.kind == Kind::forward) {
        const std::int64_t h = c[2] * p.stride + i - pad;
        const std::int64_t w = c[3] * p.stride + j - pad;
        if (h < 0 || w < 0 || h >= p.image || w >= p.image) continue;
        for (std::int64_t k = 0; k < p.in; ++k)
          sum.add(at(a, sa, {c[0], k, h, w}), at(b, sb, {c[1], k, i, j}));
      } else {
        const std::int64_t y = c[2] + pad - i;
        const std::int64_t x = c[3] + pad - j;
        if (y < 0 || x < 0 || y % p.stride != 0 || x % p.stride != 0) continue;
        if (y / p.stride >= side || x / p.stride >= side) continue;
        for (std::int64_t o = 0; o < p.out; ++o) {
          sum.add(at(a, sa, {c[0], o, y / p.stride, x / p.stride}), at(b, sb, {o, c[1], i, j}));
        }
      }
    }
  }
  return sum;
}

/// The largest error of sampled elements over the sum of their terms' magnitudes; and whether what
/// is padding is zero.
double largest_error(const Problem& p, const Node& node, const HostData& a, const HostData& b,
                     const std::vector<std::byte>& result) {
  const Value out = const_cast<Node&>(node).output();
  const Shape& shape = out.shape();
  double worst = 0;
  std::vector<std::int64_t> c(static_cast<std::size_t>(shape.rank()));
  for (std::uint64_t sample = 0; sample < 300; ++sample) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const double unit =
          philox_to_uniform(philox_word(99, static_cast<std::uint32_t>(axis), 0, sample));
      // Corners, too.
      c[static_cast<std::size_t>(axis)] =
          sample < 16 ? ((sample >> axis) & 1U) * (shape[axis] - 1)
                      : static_cast<std::int64_t>(unit * static_cast<double>(shape[axis]));
    }
    const Sum want = reference(p, node, a, b, c);
    const double got = read(result, out.dtype(), out.layout().offset(shape, c.data()));
    const double error = std::abs(got - want.value) / std::max(want.magnitude, 1e-6);
    worst = std::isfinite(error) ? std::max(worst, error) : 1e9;
  }
  return worst;
}

/// Machine code; kept in the folder MMA_BENCH_CODE, so that one machine may compile for another.
std::vector<char> compiled(const std::string& source, int arch) {
  const char* folder = std::getenv("MMA_BENCH_CODE");
  if (folder == nullptr) return compile_uncached(source, arch);
  const std::string path = fmt::format("{}/{:016x}", folder, std::hash<std::string>()(source));
  if (std::ifstream in(path, std::ios::binary); in) return {std::istreambuf_iterator<char>(in), {}};
  std::vector<char> code = compile_uncached(source, arch);
  std::ofstream(path, std::ios::binary)
      .write(code.data(), static_cast<std::streamsize>(code.size()));
  return code;
}

/// Kernels of one problem in several forms.
struct Work {
  explicit Work(const Problem& p) : problem(p) {}

  Problem problem;
  std::unique_ptr<Program> program;
  std::vector<MmaChoice> choices;
  std::vector<std::size_t> ends;  ///< of each choice's kernels
  std::int64_t scratch_bytes = 0;
  StepSource source;
  std::vector<char> code;
  std::string trouble;

  void prepare(std::size_t forms, int arch) try {
    program = std::make_unique<Program>(program_of(problem));
    const Launch& launch = program->main.front();
    choices = mma_choices_of(*launch.node, 132);
    if (std::getenv("PARTS") != nullptr) {
      std::erase_if(choices, [](const MmaChoice& choice) { return choice.parts == 1; });
    }
    if (choices.size() > forms) choices.resize(forms);
    std::vector<PlacedStage> stages;
    for (const MmaChoice& choice : choices) {
      const KernelProblem kernel{*launch.node, launch.inputs, launch.outputs};
      StageRequest request{launch};
      request.library = true;
      const auto made = make_mma_kernel(kernel, choice);
      scratch_bytes = std::max(scratch_bytes, made->scratch_bytes());
      for (Stage& stage : made->stages(request)) {
        PlacedStage placed;
        placed.stage = std::move(stage);
        stages.push_back(std::move(placed));
      }
      ends.push_back(stages.size());
    }
    source = kernels_source(*program, stages, {});
    if (std::getenv("DUMP") != nullptr) fmt::print("{}", source.text);
    code = compiled(source.text, arch);
  } catch (const std::exception& error) {
    trouble = error.what();
  }
};

std::string describe(const MmaChoice& c) {
  return fmt::format("{}x{}x{}b w{}.{}.{} s{} c{} p{}", c.form.bm, c.form.bn, c.form.bk_bytes,
                     c.form.warps_m, c.form.warps_n, c.form.warps_k, c.form.stages, c.cluster,
                     c.parts);
}

struct Ready {
  const KernelText* text = nullptr;
  CUfunction function = nullptr;
  std::vector<std::uint64_t> parameters;
};

class Timer {
 public:
  explicit Timer(std::shared_ptr<CudaDevice> device) : device_(std::move(device)) {
    check(driver().StreamCreate(&stream_, CU_STREAM_DEFAULT), "making a stream");
    check(driver().EventCreate(&begin_, CU_EVENT_DEFAULT), "making an event");
    check(driver().EventCreate(&end_, CU_EVENT_DEFAULT), "making an event");
  }

  void run(Work& work) {
    const Program& program = *work.program;
    const Launch& launch = program.main.front();
    const Node& node = *launch.node;
    std::vector<HostData> operands;
    std::vector<Buffer> buffers(program.slots.size());
    for (std::size_t i = 0; i < launch.inputs.size(); ++i) {
      operands.push_back(random_data(node.input(i), 7 + i));
      Buffer& buffer = buffers[static_cast<std::size_t>(launch.inputs[i])];
      buffer = Buffer::allocate(device_, operands.back().bytes.size(), "operand");
      device_->copy_to_device(buffer.data(), operands.back().bytes.data(),
                              operands.back().bytes.size());
    }
    const Value out = const_cast<Node&>(node).output();
    const auto bytes = static_cast<std::size_t>(out.layout().physical_bytes(out.type()));
    Buffer& result = buffers[static_cast<std::size_t>(launch.outputs.front())];
    result = Buffer::allocate(device_, bytes, "result");
    CUmodule module = nullptr;
    check(driver().ModuleLoadData(&module, work.code.data()), "loading kernels");
    double best = 1e30;
    std::size_t best_at = 0;
    double first = 0;
    double worst = 0;
    std::string line;
    const Buffer scratch = Buffer::allocate(
        device_, static_cast<std::size_t>(std::max<std::int64_t>(work.scratch_bytes, 16)),
        "scratch");
    std::vector<Ready> kernels;
    for (const KernelText& text : work.source.kernels) {
      Ready& ready = kernels.emplace_back();
      ready.text = &text;
      check(driver().ModuleGetFunction(&ready.function, module, text.name.c_str()), "finding");
      check(driver().FuncSetAttribute(
                ready.function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, text.shared_bytes),
            "shared memory");
      for (const Pointer& pointer : text.pointers) {
        ready.parameters.push_back(reinterpret_cast<std::uint64_t>(
            pointer.slot < 0 ? scratch.data()
                             : buffers[static_cast<std::size_t>(pointer.slot)].data()));
      }
      ready.parameters.resize(ready.parameters.size() + program.feeds.size() + 6);
    }
    for (std::size_t k = 0; k < work.choices.size(); ++k) {
      device_->fill(result.data(), std::byte{0x7f}, bytes);
      const auto go = [&] {
        for (std::size_t i = k == 0 ? 0 : work.ends[k - 1]; i < work.ends[k]; ++i) {
          Ready& ready = kernels[i];
          void* arguments[] = {ready.parameters.data()};
          check(driver().LaunchKernel(ready.function, static_cast<unsigned>(ready.text->blocks), 1,
                                      1, static_cast<unsigned>(ready.text->threads), 1, 1,
                                      static_cast<unsigned>(ready.text->shared_bytes), stream_,
                                      arguments, nullptr),
                "launching " + describe(work.choices[k]));
        }
      };
      go();
      check(driver().StreamSynchronize(stream_), "running " + describe(work.choices[k]));
      std::vector<std::byte> got(bytes);
      device_->copy_to_host(got.data(), result.data(), bytes);
      const double error = largest_error(work.problem, node, operands[0], operands[1], got);
      worst = std::max(worst, error);
      const double micros = time(go);
      if (k == 0) first = micros;
      line += fmt::format(" {}={:.2f}{}", describe(work.choices[k]), micros,
                          error > 6e-3 ? fmt::format("(ERROR {:.1e})", error) : "");
      if (micros < best) {
        best = micros;
        best_at = k;
      }
    }
    const double flops = node.op().cost(node).flops;
    fmt::print(
        "{:28} best {:8.2f} us {:6.1f} TFLOP/s  {:26} model's {:8.2f} ({:.2f})  error {:.1e}\n",
        work.problem.name, best, flops / best * 1e-6, describe(work.choices[best_at]), first,
        work.choices.front().cycles / 1.75e3, worst);
    fmt::print("    {}\n", line);
    std::fflush(stdout);
    driver().ModuleUnload(module);
  }

 private:
  template <typename Fn>
  double time(const Fn& go) {
    constexpr int kLaunches = 20;
    check(driver().StreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "capture");
    for (int i = 0; i < kLaunches; ++i) go();
    CUgraph graph = nullptr;
    CUgraphExec exec = nullptr;
    check(driver().StreamEndCapture(stream_, &graph), "capture");
    check(driver().GraphInstantiateWithFlags(&exec, graph, 0), "graph");
    double best = 1e30;
    for (int repeat = 0; repeat < 5; ++repeat) {
      check(driver().EventRecord(begin_, stream_), "event");
      check(driver().GraphLaunch(exec, stream_), "launch");
      check(driver().EventRecord(end_, stream_), "event");
      check(driver().EventSynchronize(end_), "event");
      float ms = 0;
      check(driver().EventElapsedTime(&ms, begin_, end_), "event");
      best = std::min(best, static_cast<double>(ms) * 1e3 / kLaunches);
    }
    driver().GraphExecDestroy(exec);
    driver().GraphDestroy(graph);
    return best;
  }

  std::shared_ptr<CudaDevice> device_;
  CUstream stream_ = nullptr;
  CUevent begin_ = nullptr, end_ = nullptr;
};

void add_conv(std::vector<Problem>& list, const std::string& name, DType dtype, std::int64_t batch,
              std::int64_t in, std::int64_t image, std::int64_t out, std::int64_t kernel,
              std::int64_t stride, bool first = false) {
  const auto add = [&](const char* what, Kind kind, bool plain) {
    list.push_back({fmt::format("{} {} {}", name, what, dtype_name(dtype)), kind, dtype, batch, in,
                    image, out, kernel, stride, plain, false, false});
  };
  add("fwd", Kind::forward, false);
  add("wgrad", Kind::weight_grad, false);
  if (!first) add("dgrad", Kind::input_grad, false);
  if (first && dtype == DType::f32) {
    add("fwd nchw", Kind::forward, true);
    add("wgrad nchw", Kind::weight_grad, true);
  }
}

void add_linear(std::vector<Problem>& list, const std::string& name, DType dtype,
                std::int64_t batch, std::int64_t in, std::int64_t out) {
  const auto add = [&](const char* what, std::int64_t m, std::int64_t k, std::int64_t n, bool ta,
                       bool tb) {
    list.push_back({fmt::format("{} {} {}", name, what, dtype_name(dtype)), Kind::product, dtype, m,
                    k, 0, n, 1, 1, false, ta, tb});
  };
  add("fwd", batch, in, out, false, true);
  add("dgrad", batch, out, in, false, false);
  add("wgrad", out, batch, in, true, false);
}

std::vector<Problem> problems(const std::set<std::string>& which) {
  std::vector<Problem> list;
  if (which.contains("gometal")) {
    const DType t = DType::f32;
    add_conv(list, "g1 3-32@32", t, 32, 3, 32, 32, 3, 1, true);
    add_conv(list, "g2 32-32/2@32", t, 32, 32, 32, 32, 3, 2);
    add_conv(list, "g3 32-64@16", t, 32, 32, 16, 64, 3, 1);
    add_conv(list, "g4 64-64/2@16", t, 32, 64, 16, 64, 3, 2);
    add_linear(list, "fc1 4096-128", t, 32, 4096, 128);
    add_linear(list, "fc2 128-10", t, 32, 128, 10);
  }
  if (which.contains("small")) {
    // For the emulated driver: borders, padded channels, strides, every kind of copy.
    for (const DType t : {DType::f32, DType::bf16}) {
      add_conv(list, "s 3-24@9", t, 2, 3, 9, 24, 3, 1, true);
      add_conv(list, "s 24-40/2@7", t, 2, 24, 7, 40, 3, 2);
      add_conv(list, "s 8-16/2@6 1x1", t, 2, 8, 6, 16, 1, 2);
      add_linear(list, "s 72-40", t, 20, 72, 40);
      add_linear(list, "s 36-10", t, 18, 36, 10);
    }
  }
  if (which.contains("parts")) {
    for (const std::int64_t in : {3, 16}) {
      add_conv(list, fmt::format("p {}-16@24", in), DType::f32, 8, in, 24, 16, 3, 1, true);
    }
    std::erase_if(list, [](const Problem& p) { return p.kind != Kind::weight_grad; });
  }
  if (which.contains("resnet")) {
    const DType t = DType::bf16;
    add_conv(list, "r18 64-64@32", t, 128, 64, 32, 64, 3, 1);
    add_conv(list, "r18 128-128@16", t, 128, 128, 16, 128, 3, 1);
    add_conv(list, "r50 256-64@56", t, 32, 256, 56, 64, 1, 1);
    add_conv(list, "r50 128-128/2@56", t, 32, 128, 56, 128, 3, 2);
    add_conv(list, "r50 stem", t, 16, 3, 224, 64, 7, 2, true);
    add_linear(list, "fc 2048-1000", t, 256, 2048, 1000);
  }
  return list;
}

int run(std::size_t forms, const std::set<std::string>& which) {
  std::shared_ptr<CudaDevice> device;
  try {
    device = std::make_shared<CudaDevice>(0);
  } catch (const std::exception& error) {
    fmt::print("no GPU ({}): kernels are compiled only\n", error.what());
  }
  std::vector<Work> work;
  for (const Problem& p : problems(which)) work.emplace_back(p);
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> threads;
  const unsigned count = device == nullptr || std::getenv("ONE_THREAD") != nullptr
                             ? 1
                             : std::max(1U, std::thread::hardware_concurrency());
  for (unsigned t = 0; t < count; ++t) {
    threads.emplace_back([&] {
      for (std::size_t i = next++; i < work.size(); i = next++) work[i].prepare(forms, 90);
    });
  }
  for (std::thread& thread : threads) thread.join();
  int failed = 0;
  std::unique_ptr<Timer> timer;
  if (device != nullptr) timer = std::make_unique<Timer>(device);
  for (Work& item : work) {
    if (item.trouble.empty() && timer != nullptr) {
      try {
        timer->run(item);
      } catch (const std::exception& error) {
        item.trouble = error.what();
      }
    } else if (item.trouble.empty()) {
      fmt::print("{:28} {} forms, {} bytes; first {} of {} blocks\n", item.problem.name,
                 item.choices.size(), item.code.size(), describe(item.choices.front()),
                 item.source.kernels.front().blocks);
    }
    if (!item.trouble.empty()) {
      ++failed;
      fmt::print("{}: {}\n", item.problem.name, item.trouble);
    }
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace ingot::cuda

int main(int argc, char** argv) {
  std::size_t forms = 4;
  std::set<std::string> which;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.starts_with("--forms=")) {
      forms = static_cast<std::size_t>(std::stoul(argument.substr(8)));
    } else {
      which.insert(argument);
    }
  }
  if (which.empty()) which = {"gometal", "resnet"};
  return ingot::cuda::run(forms, which);
}
