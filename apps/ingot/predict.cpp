// `ingot predict`: classes of images, from PNG files or from a test set.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "apps/ingot/commands.h"
#include "apps/ingot/output.h"
#include "apps/ingot/run_setup.h"
#include "apps/ingot/usage.h"
#include "ingot/base/error.h"
#include "ingot/data/png.h"

namespace ingot::cli {
namespace {

struct Images {
  HostTensor pixels;
  std::vector<std::string> names;
  std::vector<std::int32_t> labels;  ///< empty for files
};

Images read_images(const std::vector<std::string>& files, const nn::ModelOptions& model) {
  const Shape image{model.channels, model.height, model.width};
  const auto count = static_cast<std::int64_t>(files.size());
  Images images{HostTensor({DType::u8, {count, image[0], image[1], image[2]}}), files, {}};
  std::byte* target = images.pixels.bytes().data();
  for (const std::string& file : files) {
    const HostTensor pixels = data::read_png(file, static_cast<int>(model.channels));
    if (pixels.type().shape != image) {
      throw user_error(ErrorCode::invalid_data,
                       fmt::format("image \"{}\": must be {} as the model's, got {}", file,
                                   image.to_string(), pixels.type().shape.to_string()));
    }
    std::memcpy(target, pixels.bytes().data(), pixels.bytes().size());
    target += pixels.bytes().size();
  }
  return images;
}

Images test_images(const data::Dataset& test, std::int64_t count) {
  std::vector<std::int64_t> indices(
      static_cast<std::size_t>(std::min(std::max<std::int64_t>(count, 1), test.size())));
  std::iota(indices.begin(), indices.end(), 0);
  const data::Dataset chosen = data::subset(test, indices, data::Split::test);
  const auto labels = chosen.labels.view().as<std::int32_t>();
  Images images{chosen.images, {}, {labels.begin(), labels.end()}};
  for (const std::int64_t index : indices) images.names.push_back(fmt::format("test {}", index));
  return images;
}

/// Softmax of the chosen logit.
double probability(std::span<const float> logits, std::int32_t chosen) {
  const double top = logits[static_cast<std::size_t>(chosen)];
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - top);
  return 1 / sum;
}

}  // namespace

int run_predict(const PredictOptions& options) {
  const LoadedRun run =
      reading_arguments([&] { return load_run(options.run, options.device, options.threads, 0); });
  const Images images = reading_arguments([&] {
    return options.images.empty()
               ? test_images(load_test_data(run.description, options.data), options.count)
               : read_images(options.images, run.description.model_options);
  });
  const train::Predictions predictions = run.trainer->predict(images.pixels);
  const auto classes = static_cast<std::size_t>(predictions.logits.type().shape[1]);
  const auto logits = predictions.logits.view().as<float>();
  for (std::size_t i = 0; i < images.names.size(); ++i) {
    const std::int32_t chosen = predictions.classes[i];
    const double p = probability(logits.subspan(i * classes, classes), chosen);
    if (options.json) {
      io::Json line = io::Json::object({{"event", "prediction"},
                                        {"image", images.names[i]},
                                        {"class", chosen},
                                        {"probability", p}});
      if (!images.labels.empty()) line.set("label", images.labels[i]);
      print_line(line.dump());
    } else {
      print_line(
          fmt::format("{}: class {} ({:.1f} %){}", images.names[i], chosen, 100 * p,
                      images.labels.empty() ? "" : fmt::format(", labelled {}", images.labels[i])));
    }
  }
  return kDone;
}

}  // namespace ingot::cli
