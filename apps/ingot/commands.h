// The subcommands of `ingot`: what main.cpp parsed, and a function for each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ingot::cli {

/// Exit codes.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;
inline constexpr int kInterrupted = 130;

/// Options not given keep the resumed run's values, or the defaults.
struct TrainOptions {
  std::string model;
  std::string data;
  std::optional<std::int64_t> epochs;
  std::optional<std::int64_t> batch;
  std::optional<double> learning_rate;
  std::optional<std::string> optimizer;
  std::optional<double> momentum;
  bool nesterov = false;
  std::optional<double> beta1;
  std::optional<double> beta2;
  std::optional<double> eps;
  std::optional<double> weight_decay;
  std::optional<std::string> schedule;
  std::optional<std::int64_t> schedule_epochs;
  std::optional<double> warmup;
  std::optional<std::int64_t> step_epochs;
  std::optional<double> gamma;
  std::optional<double> clip_norm;
  std::optional<double> label_smoothing;
  std::optional<std::string> precision;
  std::optional<std::int64_t> shift;
  bool flip = false;
  std::optional<std::uint64_t> seed;
  std::string device = "cpu";
  int threads = 0;
  std::string tune = "off";
  std::string out;
  std::string resume;
  bool json = false;
};
int run_train(const TrainOptions& given);

struct EvalOptions {
  std::string run;
  std::string data;        ///< empty: the run's
  std::int64_t batch = 0;  ///< 0: the run's
  std::string precision;   ///< empty: the run's
  std::string device = "cpu";
  int threads = 0;
  bool json = false;
};
int run_eval(const EvalOptions& options);

struct PredictOptions {
  std::string run;
  std::vector<std::string> images;  ///< PNG files; none: test images of `data`
  std::string data;                 ///< empty: the run's
  std::int64_t count = 10;          ///< test images
  std::string device = "cpu";
  int threads = 0;
  bool json = false;
};
int run_predict(const PredictOptions& options);

struct BenchOptions {
  std::string workload;  ///< a model to train, or "infer"
  std::string model;     ///< of "infer"
  std::string device = "cpu";
  int threads = 0;
  std::string tune = "off";
  std::string precision = "f32";
  std::int64_t steps = 0;  ///< 0: chosen by the time a step takes
  std::int64_t batch = 0;  ///< 0: the workload's own
  std::int64_t fixed = 0;  ///< > 0: just so many steps, and what they consist of
  int steps_per_call = 1;
  std::int64_t side = 0;  ///< height and width of the images; 0: the workload's own
  std::string check =
      "all";  ///< what the first step is compared with: "reference", "none"; "steps"
  std::string against = "reference";  ///< the device that many steps are compared with
  double learning_rate = 0.002;       ///< at which many steps learn
  std::int64_t batches = 0;           ///< that are fed to these in turn; 0: one a step
  std::string profile;                ///< file to write a profile to; empty: none
  bool json = false;
};
int run_bench(const BenchOptions& options);
int run_bench_infer(const BenchOptions& options);

struct PlanOptions {
  std::string model;
  std::string graph;  ///< file to write the Graph to; empty: none
  std::int64_t batch = 32;
  std::string precision = "f32";
  std::string device = "cpu";
};
int run_plan(const PlanOptions& options);

struct BisectCommandOptions {
  std::string graph;
  std::string device = "cpu";
  std::int64_t seed = 0;
};
int run_bisect(const BisectCommandOptions& options);

struct OpsOptions {};
int run_ops(const OpsOptions& options);

struct DoctorOptions {};
int run_doctor(const DoctorOptions& options);

}  // namespace ingot::cli
