#include "ingot/train/options.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ingot/base/error.h"

namespace ingot::train {
namespace {

using io::Json;

// Epochs times batches stay far from the end of 64 bits.
constexpr std::int64_t kMostEpochs = 1'000'000;

template <typename T>
void require(bool holds, std::string_view rule, const T& got) {
  if (holds) return;
  throw user_error(ErrorCode::invalid_argument, fmt::format("trainer: {}, got {}", rule, got));
}

Json numbers(const std::vector<float>& values) {
  Json list = Json::array();
  for (const float value : values) list.push_back(static_cast<double>(value));
  return list;
}

std::vector<float> numbers_at(const Json& json, std::string_view key) {
  std::vector<float> values;
  for (const Json& value : json.array_at(key)) {
    values.push_back(static_cast<float>(value.as_double()));
  }
  return values;
}

Json rule_to_json(const optim::SGD& sgd) {
  return Json::object({{"name", "sgd"},
                       {"momentum", sgd.momentum},
                       {"dampening", sgd.dampening},
                       {"weight_decay", sgd.weight_decay},
                       {"nesterov", sgd.nesterov}});
}

Json rule_to_json(const optim::AdamW& adam) {
  return Json::object({{"name", "adamw"},
                       {"beta1", adam.beta1},
                       {"beta2", adam.beta2},
                       {"eps", adam.eps},
                       {"weight_decay", adam.weight_decay}});
}

optim::Rule rule_from_json(const Json& json) {
  optim::Rule rule = parse_optimizer(json.string_at("name"));
  if (auto* sgd = std::get_if<optim::SGD>(&rule)) {
    *sgd = {json.double_at("momentum"), json.double_at("dampening"), json.double_at("weight_decay"),
            json.bool_at("nesterov")};
  } else {
    std::get<optim::AdamW>(rule) = {json.double_at("beta1"), json.double_at("beta2"),
                                    json.double_at("eps"), json.double_at("weight_decay")};
  }
  return rule;
}

}  // namespace

void check_options(const TrainerOptions& o) {
  require(o.batch_size >= 1, "batch_size must be positive", o.batch_size);
  require(o.epochs >= 1 && o.epochs <= kMostEpochs, "epochs must be from 1 to 1000000", o.epochs);
  require(std::isfinite(o.learning_rate) && o.learning_rate >= 0,
          "learning_rate must be finite and not negative", o.learning_rate);
  optim::check_rule(o.optimizer);
  require(std::isfinite(o.clip_norm) && o.clip_norm >= 0,
          "clip_norm must be finite and not negative", o.clip_norm);
  require(o.label_smoothing >= 0 && o.label_smoothing < 1, "label_smoothing must be in [0, 1)",
          o.label_smoothing);
  require(o.schedule.epochs >= 0 && o.schedule.epochs <= kMostEpochs,
          "schedule epochs must be from 0 to 1000000", o.schedule.epochs);
  require(
      o.schedule.warmup_epochs >= 0 && o.schedule.warmup_epochs <= static_cast<double>(kMostEpochs),
      "warm-up epochs must be from 0 to 1000000", o.schedule.warmup_epochs);
  require(o.schedule.step_epochs >= 1 && o.schedule.step_epochs <= kMostEpochs,
          "step epochs must be from 1 to 1000000", o.schedule.step_epochs);
  require(std::isfinite(o.schedule.gamma) && o.schedule.gamma > 0,
          "gamma must be finite and positive", o.schedule.gamma);
  require(o.augment.shift >= 0, "augment shift must not be negative", o.augment.shift);
  require(o.threads >= 0, "threads must not be negative", o.threads);
  require(o.loader_workers >= 0, "loader_workers must not be negative", o.loader_workers);
}

void check_options(const TrainerOptions& o, const data::Dataset& train) {
  check_options(o);
  const Shape image = train.image_shape();
  require(o.augment.shift < std::min(image[1], image[2]),
          "augment shift must be less than height and width",
          fmt::format("{} for images {}", o.augment.shift, image.to_string()));
}

Json options_to_json(const TrainerOptions& o) {
  const ScheduleOptions& s = o.schedule;
  return Json::object(
      {{"batch_size", o.batch_size},
       {"epochs", o.epochs},
       {"learning_rate", o.learning_rate},
       {"optimizer", std::visit([](const auto& r) { return rule_to_json(r); }, o.optimizer)},
       {"schedule", Json::object({{"kind", schedule_name(s.kind)},
                                  {"epochs", s.epochs},
                                  {"warmup_epochs", s.warmup_epochs},
                                  {"step_epochs", s.step_epochs},
                                  {"gamma", s.gamma}})},
       {"clip_norm", o.clip_norm},
       {"label_smoothing", o.label_smoothing},
       {"decay_vectors", o.decay_vectors},
       {"precision", std::string(precision_name(o.precision))},
       {"seed", o.seed},
       {"augment", Json::object({{"shift", o.augment.shift}, {"flip", o.augment.flip}})},
       {"normalization", Json::object({{"mean", numbers(o.normalization.mean)},
                                       {"stddev", numbers(o.normalization.stddev)}})}});
}

TrainerOptions options_from_json(const Json& json) {
  TrainerOptions o;
  o.batch_size = json.i64_at("batch_size");
  o.epochs = json.i64_at("epochs");
  o.learning_rate = json.double_at("learning_rate");
  o.optimizer = rule_from_json(json.at("optimizer"));
  const Json& schedule = json.at("schedule");
  o.schedule = {optim::parse_schedule(schedule.string_at("kind")), schedule.i64_at("epochs"),
                schedule.double_at("warmup_epochs"), schedule.i64_at("step_epochs"),
                schedule.double_at("gamma")};
  o.clip_norm = json.double_at("clip_norm");
  o.label_smoothing = json.double_at("label_smoothing");
  o.decay_vectors = json.bool_at("decay_vectors");
  // Checkpoints of before it was an option have none.
  if (json.find("precision") != nullptr) {
    o.precision = parse_precision(json.string_at("precision"));
  }
  o.seed = json.u64_at("seed");
  const Json& augment = json.at("augment");
  o.augment = {augment.i64_at("shift"), augment.bool_at("flip")};
  const Json& normalization = json.at("normalization");
  o.normalization = {numbers_at(normalization, "mean"), numbers_at(normalization, "stddev")};
  return o;
}

optim::Rule parse_optimizer(std::string_view name) {
  if (name == "sgd") return optim::SGD{.momentum = 0.9};
  if (name == "adamw") return optim::AdamW{};
  throw user_error(
      ErrorCode::invalid_argument,
      fmt::format("optimizer \"{}\": must be one of \"sgd\", \"adamw\", got no such name", name));
}

std::string_view optimizer_name(const optim::Rule& rule) noexcept {
  return std::holds_alternative<optim::SGD>(rule) ? "sgd" : "adamw";
}

std::string_view schedule_name(optim::Schedule::Kind kind) noexcept {
  switch (kind) {
    case optim::Schedule::Kind::constant: return "constant";
    case optim::Schedule::Kind::cosine: return "cosine";
    case optim::Schedule::Kind::one_cycle: return "one-cycle";
    case optim::Schedule::Kind::step: return "step";
  }
  return "";
}

optim::Schedule schedule_in_steps(const TrainerOptions& o, std::int64_t steps_per_epoch) {
  check_options(o);
  const std::int64_t epochs = o.schedule.epochs > 0 ? o.schedule.epochs : o.epochs;
  const double warmup = o.schedule.warmup_epochs * static_cast<double>(steps_per_epoch);
  return {.kind = o.schedule.kind,
          .base = o.learning_rate,
          .total_steps = epochs * steps_per_epoch,
          .warmup_steps = static_cast<std::int64_t>(std::llround(warmup)),
          .step_size = o.schedule.step_epochs * steps_per_epoch,
          .gamma = o.schedule.gamma};
}

}  // namespace ingot::train
