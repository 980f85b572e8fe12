#include "ingot/backends/cuda/libraries/cudnn_conv.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "ingot/backends/cuda/driver/driver.h"
#include "ingot/base/error.h"

namespace ingot::cuda {
namespace {

/// Unique ids of a graph's tensors; from kInner on, of those that exist inside it alone.
enum TensorId : std::int64_t { kX = 1, kW = 2, kY = 3, kBias = 4, kAddend = 5, kInner = 10 };

constexpr std::string_view kInPlace = "in place ";  // before the name of an engine's configuration

cudnnDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::f16: return CUDNN_DATA_HALF;
    case DType::bf16: return CUDNN_DATA_BFLOAT16;
    default: return CUDNN_DATA_FLOAT;
  }
}

template <typename T>
std::vector<T> list_of(const CudnnDescriptor& from, cudnnBackendAttributeName_t name,
                       cudnnBackendAttributeType_t type, std::int64_t most) {
  std::vector<T> values(static_cast<std::size_t>(most));
  const std::int64_t count = from.get(name, type, most, values.data());
  values.resize(static_cast<std::size_t>(std::min(count, most)));
  return values;
}

/// Descriptors of a kind that an attribute holds, at most `most`; -1: as many as there are.
std::vector<CudnnDescriptor> descriptors_of(const CudnnDescriptor& from,
                                            cudnnBackendAttributeName_t name,
                                            cudnnBackendDescriptorType_t kind, std::int64_t most) {
  if (most < 0) most = from.get(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, nullptr);
  std::vector<CudnnDescriptor> owned;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = 0; i < most; ++i) raw.push_back(owned.emplace_back(kind).raw());
  if (most == 0) return owned;
  const std::int64_t got =
      from.get(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, static_cast<void*>(raw.data()));
  owned.resize(static_cast<std::size_t>(std::min(got, most)));
  return owned;
}

void set_all(CudnnDescriptor& to, cudnnBackendAttributeName_t name,
             const std::vector<CudnnDescriptor>& values) {
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const CudnnDescriptor& value : values) raw.push_back(value.raw());
  to.set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<std::int64_t>(raw.size()),
         static_cast<const void*>(raw.data()));
}

CudnnDescriptor convolution(const ConvProblem& problem) {
  CudnnDescriptor conv(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  conv.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  conv.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
  conv.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2});
  conv.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, problem.before);
  conv.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, problem.after);
  conv.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, problem.stride);
  conv.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, problem.dilation);
  conv.finalize("describing a convolution");
  return conv;
}

/// What the operation of each kind is called, and its attributes.
struct Names {
  cudnnBackendDescriptorType_t operation;
  cudnnBackendAttributeName_t alpha, beta, conv, x, w, y;
};

Names names_of(ConvKind kind) {
  switch (kind) {
    case ConvKind::input_grad:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY};
    case ConvKind::weight_grad:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};
    case ConvKind::forward: break;
  }
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
}

CudnnDescriptor pointwise_kind(cudnnPointwiseMode_t mode) {
  CudnnDescriptor kind(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  kind.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
  kind.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  kind.finalize("describing an epilogue");
  return kind;
}

CudnnDescriptor pointwise(const CudnnDescriptor& kind, const CudnnDescriptor& x,
                          const CudnnDescriptor* b, const CudnnDescriptor& y) {
  CudnnDescriptor operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kind);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
  if (b != nullptr) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  operation.finalize("an epilogue");
  return operation;
}

/// Why an engine may not be used; empty: it may.
std::string_view refusal_of(cudnnBackendNumericalNote_t note, const ConvProblem& problem) {
  const bool wide = problem.x.dtype == DType::f32;
  switch (note) {
    case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC: return "it is not deterministic";
    case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION: return "it sums in less than f32";
    case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS: return "it rounds its operands";
    case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
      return wide && !problem.tf32 ? "it multiplies in tf32" : "";
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13: return "its tiles of Winograd lose digits";
    default: return "";
  }
}

/// What "engine 3 knobs 2=1,13=0" says.
struct ConfigName {
  std::int64_t engine = -1;
  std::vector<std::pair<int, std::int64_t>> knobs;
};

std::string to_text(const ConfigName& name) {
  std::string text = fmt::format("engine {} knobs", name.engine);
  char before = ' ';
  for (const auto& [type, value] : name.knobs) {
    text += fmt::format("{}{}={}", before, type, value);
    before = ',';
  }
  return text;
}

std::optional<ConfigName> parse_config(std::string_view text) {
  const auto take = [&text](std::string_view word) {
    if (!text.starts_with(word)) return false;
    text.remove_prefix(word.size());
    return true;
  };
  const auto number = [&text](auto& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
  };
  ConfigName name;
  if (!take("engine ") || !number(name.engine) || !take(" knobs")) return std::nullopt;
  for (std::string_view before = " "; !text.empty(); before = ",") {
    auto& [type, value] = name.knobs.emplace_back();
    if (!take(before) || !number(type) || !take("=") || !number(value)) return std::nullopt;
  }
  return name;
}

}  // namespace

void CudnnPlan::enqueue(CUstream stream, const ConvMemory& memory, std::byte* workspace) const {
  const std::lock_guard lock(shared_->mutex);
  const cudnnHandle_t handle = shared_->handle.get();
  check(cudnn().SetStream(handle, stream), "choosing a stream");
  std::vector<std::int64_t> ids{kX, kW, kY};
  std::vector<const void*> pointers{memory.x, memory.w, memory.y};
  if (memory.bias != nullptr) {
    ids.push_back(kBias);
    pointers.push_back(memory.bias);
  }
  if (adds_in_place_) {
    place_addend(stream, memory);
  } else if (memory.addend != nullptr) {
    ids.push_back(kAddend);
    pointers.push_back(memory.addend);
  }
  CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids);
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR,
           static_cast<std::int64_t>(pointers.size()), static_cast<const void*>(pointers.data()));
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1,
           static_cast<const void*>(&workspace));
  pack.finalize("binding memory");
  check(cudnn().BackendExecute(handle, plan_.raw(), pack.raw()), "running " + name_);
}

void CudnnPlan::place_addend(CUstream stream, const ConvMemory& memory) const {
  const std::byte* const result = kind_ == ConvKind::forward      ? memory.y
                                  : kind_ == ConvKind::input_grad ? memory.x
                                                                  : memory.w;
  if (memory.addend == result) return;
  check(driver().MemcpyDtoDAsync(device_pointer(result), device_pointer(memory.addend),
                                 static_cast<std::size_t>(result_bytes_), stream),
        "moving what is added");
}

ConvGraph::ConvGraph(std::shared_ptr<SharedHandle> shared, const ConvProblem& problem,
                     Addition addition)
    : shared_(std::move(shared)), problem_(problem), addition_(addition) {
  const Names names = names_of(problem.kind);
  const bool epilogue = problem.bias || problem.relu || (problem.addend && !adds_in_place());
  ConvTensor sums = problem.result();
  if (epilogue) sums.dtype = DType::f32;
  // Moves of the vector leave the descriptors themselves where they are.
  parts_.push_back(convolution(problem));
  for (const auto& [id, one] : {std::pair{kX, &problem_.x}, {kW, &problem_.w}, {kY, &problem_.y}}) {
    const bool inner = epilogue && one == &problem_.result();
    parts_.push_back(inner ? tensor(kInner, sums, true) : tensor(id, *one, false));
  }
  CudnnDescriptor operation(names.operation);
  operation.set(names.conv, parts_[0]);
  operation.set(names.x, parts_[1]);
  operation.set(names.w, parts_[2]);
  operation.set(names.y, parts_[3]);
  operation.set(names.alpha, 1.0F);
  operation.set(names.beta, adds_in_place() ? 1.0F : 0.0F);
  operation.finalize("a convolution");
  operations_.push_back(std::move(operation));
  if (epilogue) add_epilogue(sums);

  graph_ = CudnnDescriptor(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  cudnnHandle_t raw = shared_->handle.get();
  graph_.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
             static_cast<const void*>(&raw));
  set_all(graph_, CUDNN_ATTR_OPERATIONGRAPH_OPS, operations_);
  graph_.finalize("a graph for " + problem.text());
}

void ConvGraph::add_epilogue(const ConvTensor& sums) {
  constexpr std::array kResults{kX, kW, kY};
  const auto result = static_cast<std::size_t>(problem_.kind == ConvKind::input_grad    ? 0
                                               : problem_.kind == ConvKind::weight_grad ? 1
                                                                                        : 2);
  std::size_t last = 1 + result;
  int left = (problem_.bias ? 1 : 0) + (problem_.addend ? 1 : 0) + (problem_.relu ? 1 : 0);
  std::int64_t inner = kInner;
  const auto add = [&](cudnnPointwiseMode_t mode, const CudnnDescriptor* b) {
    parts_.push_back(pointwise_kind(mode));
    const std::size_t kind = parts_.size() - 1;
    parts_.push_back(--left == 0 ? tensor(kResults[result], problem_.result(), false)
                                 : tensor(++inner, sums, true));
    operations_.push_back(pointwise(parts_[kind], parts_[last], b, parts_.back()));
    last = parts_.size() - 1;
  };
  parts_.reserve(parts_.size() + 8);  // pointers to its elements stay good
  if (problem_.bias) {
    const std::int64_t channels = problem_.y.dims[1];
    ConvTensor bias;
    bias.dtype = problem_.bias_dtype;
    bias.dims = {1, channels, 1, 1};
    bias.strides = {channels, 1, channels, channels};
    parts_.push_back(tensor(kBias, bias, false));
    add(CUDNN_POINTWISE_ADD, &parts_.back());
  }
  if (problem_.addend) {
    parts_.push_back(tensor(kAddend, problem_.result(), false));
    add(CUDNN_POINTWISE_ADD, &parts_.back());
  }
  if (problem_.relu) add(CUDNN_POINTWISE_RELU_FWD, nullptr);
}

CudnnDescriptor ConvGraph::tensor(std::int64_t id, const ConvTensor& tensor,
                                  bool is_virtual) const {
  CudnnDescriptor descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  descriptor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, data_type(tensor.dtype));
  descriptor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, tensor.dims);
  descriptor.set(CUDNN_ATTR_TENSOR_STRIDES, tensor.strides);
  descriptor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
  descriptor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, std::int64_t{16});
  if (is_virtual) descriptor.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
  descriptor.finalize("describing a tensor of " + problem_.text());
  return descriptor;
}

std::string ConvGraph::refusal(const CudnnDescriptor& config, Config& described) const {
  const std::vector<CudnnDescriptor> engines =
      descriptors_of(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
  if (engines.empty()) return "it has no engine";
  const CudnnDescriptor& engine = engines.front();
  ConfigName name;
  name.engine = engine.get<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64);
  for (const CudnnDescriptor& choice :
       descriptors_of(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                      CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, CUDNN_KNOB_TYPE_COUNTS)) {
    const auto type =
        choice.get<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE);
    name.knobs.emplace_back(
        static_cast<int>(type),
        choice.get<std::int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64));
  }
  described.name = (adds_in_place() ? std::string(kInPlace) : std::string()) + to_text(name);
  for (const auto note : list_of<cudnnBackendBehaviorNote_t>(
           engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
           CUDNN_BEHAVIOR_NOTE_TYPE_COUNT)) {
    described.compiles |= note == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
  }
  for (const auto note : list_of<cudnnBackendNumericalNote_t>(
           engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
           CUDNN_NUMERICAL_NOTE_TYPE_COUNT)) {
    if (const std::string_view why = refusal_of(note, problem_); !why.empty()) {
      return std::string(why);
    }
  }
  return {};
}

std::vector<ConvGraph::Config> ConvGraph::configs(cudnnBackendHeurMode_t mode,
                                                  std::vector<std::string>& refused) const {
  CudnnDescriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph_);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  heuristics.finalize("asking for engines of " + problem_.text());
  std::vector<Config> kept;
  for (CudnnDescriptor& config : descriptors_of(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, -1)) {
    Config described;
    const std::string why = refusal(config, described);
    if (!why.empty()) {
      refused.push_back(described.name + ": " + why);
      continue;
    }
    described.descriptor = std::move(config);
    kept.push_back(std::move(described));
  }
  return kept;
}

std::optional<ConvGraph::Config> ConvGraph::config(const std::string& name) const {
  std::string_view engine_name = name;
  if (engine_name.starts_with(kInPlace) != adds_in_place()) return std::nullopt;
  if (adds_in_place()) engine_name.remove_prefix(kInPlace.size());
  const std::optional<ConfigName> parsed = parse_config(engine_name);
  if (!parsed) return std::nullopt;
  try {
    CudnnDescriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph_);
    engine.set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, parsed->engine);
    engine.finalize("choosing " + name);
    std::vector<CudnnDescriptor> knobs;
    for (const auto& [type, value] : parsed->knobs) {
      CudnnDescriptor& knob = knobs.emplace_back(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
      const auto kind = static_cast<cudnnBackendKnobType_t>(type);
      knob.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &kind);
      knob.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, value);
      knob.finalize("choosing " + name);
    }
    Config config;
    config.descriptor = CudnnDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    config.descriptor.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
    if (!knobs.empty()) set_all(config.descriptor, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, knobs);
    config.descriptor.finalize("choosing " + name);
    if (!refusal(config.descriptor, config).empty()) return std::nullopt;
    config.name = name;
    return config;
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::unique_ptr<CudnnPlan> ConvGraph::plan(Config config, std::string& why) const {
  try {
    CudnnDescriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    cudnnHandle_t raw = shared_->handle.get();
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
             static_cast<const void*>(&raw));
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config.descriptor);
    plan.finalize("planning " + config.name);
    const auto bytes =
        plan.get<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64);
    return std::make_unique<CudnnPlan>(shared_, std::move(plan), problem_, adds_in_place(),
                                       std::move(config.name), bytes);
  } catch (const Error& error) {
    why = error.what();
    return nullptr;
  }
}

}  // namespace ingot::cuda
