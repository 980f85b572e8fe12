#include "ingot/nn/resident_source.h"

#include <fmt/core.h>

#include <numeric>
#include <string_view>
#include <utility>

#include "ingot/base/error.h"
#include "ingot/ops/operators.h"

namespace ingot::nn {
namespace {

void check(const ResidentSource& source) {
  const Shape& shape = source.images.shape;
  const bool known = source.images.dtype == DType::u8 || source.images.dtype == DType::f32;
  if (!known || shape.rank() != 4 || shape.numel() == 0) {
    throw user_error(ErrorCode::invalid_shape,
                     fmt::format("resident source: images must be u8 or f32 [N,C,H,W], got {}",
                                 source.images.to_string()));
  }
  if (source.batch < 1 || source.batch > shape[0]) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("resident source: batch must be from 1 to the {} samples, got {}",
                                 shape[0], source.batch));
  }
  for (const std::vector<float>* values : {&source.mean, &source.stddev}) {
    if (values->empty() || std::cmp_equal(values->size(), shape[1])) continue;
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("resident source: mean and stddev must have one number for each "
                                 "of {} channels, got {}",
                                 shape[1], values->size()));
  }
}

Value variable(Graph& graph, const char* name, const TensorType& type) {
  return graph.variable(name, type, Initializer::constant(0), VariableRole::dataset, {});
}

Value per_channel(Graph& graph, const std::vector<float>& values) {
  const std::vector<double> wide(values.begin(), values.end());
  const auto channels = static_cast<std::int64_t>(values.size());
  return graph.constant(HostTensor({DType::f32, {1, channels, 1, 1}}, wide), {});
}

}  // namespace

ResidentBatch next_batch(ForwardContext& context, const ResidentSource& source) {
  check(source);
  Graph& graph = context.graph();
  const std::int64_t samples = source.images.shape[0];
  const Value data = variable(graph, kResidentImages, source.images);
  const Value classes = variable(graph, kResidentLabels, {DType::i32, {samples}});
  const Value order = variable(graph, kResidentOrder, {DType::i32, {samples}});
  const Value index = variable(graph, kResidentBatch, {DType::i32, {}});

  std::vector<double> first(static_cast<std::size_t>(source.batch));
  std::iota(first.begin(), first.end(), 0.0);
  const Value places = graph.constant(HostTensor({DType::i32, {source.batch}}, first), {});
  const auto stride = static_cast<double>(source.stride != 0 ? source.stride : source.batch);
  const Value chosen = ops::gather(order, places + index * stride, 0, {});
  Value images = ops::gather(data, chosen, 0, {});
  if (source.moves) {
    const Value moves = variable(graph, kResidentMoves, {DType::i32, {samples, 3}});
    images = ops::crop_flip(images, ops::gather(moves, chosen, 0, {}), {});
  }
  if (images.dtype() == DType::u8) images = ops::cast(images, DType::f32, {}) / 255.0;
  if (!source.mean.empty()) images = images - per_channel(graph, source.mean);
  if (!source.stddev.empty()) images = images / per_channel(graph, source.stddev);
  graph.assign(index, index + 1.0);
  return {images, ops::gather(classes, chosen, 0, {})};
}

}  // namespace ingot::nn
