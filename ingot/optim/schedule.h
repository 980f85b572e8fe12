// Learning-rate schedules as graph builders: functions of the step in device memory.
#pragma once

#include <cstdint>
#include <string_view>

#include "ingot/ir/graph.h"

namespace ingot::optim {

/// The learning rate of each step. All lengths are in steps.
struct Schedule {
  enum class Kind : std::uint8_t {
    constant,
    cosine,     ///< base * (1 + cos(pi t)) / 2 (Loshchilov and Hutter 2017)
    one_cycle,  ///< cosine up from base / 25 to base in 30 %, cosine down to base / 250,000
                ///< (Smith and Topin 2018, as torch.optim.lr_scheduler.OneCycleLR)
    step,       ///< base * gamma^floor(step / step_size)
  };
  Kind kind = Kind::constant;
  double base = 0.1;
  std::int64_t total_steps = 0;   ///< cosine and one_cycle; afterwards the last value stays
  std::int64_t warmup_steps = 0;  ///< linear from base / (warmup_steps + 1); before the schedule
  std::int64_t step_size = 0;
  double gamma = 0.1;
};

/// f32[] learning rate from `step` i64[]. Errors: a schedule without the lengths it needs.
Value learning_rate(Graph& graph, const Schedule& schedule, Value step);
/// The same on the host, for reports; equal up to float rounding.
double learning_rate_at(const Schedule& schedule, std::int64_t step);

/// "constant", "cosine", "one-cycle", "step". Errors: unknown name, with the names there are.
Schedule::Kind parse_schedule(std::string_view name);

}  // namespace ingot::optim
