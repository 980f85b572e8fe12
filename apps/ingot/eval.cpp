// `ingot eval`: loss and accuracy of a run on a test set.
#include <fmt/core.h>

#include "apps/ingot/commands.h"
#include "apps/ingot/output.h"
#include "apps/ingot/run_setup.h"
#include "apps/ingot/usage.h"

namespace ingot::cli {

int run_eval(const EvalOptions& options) {
  const LoadedRun run = reading_arguments([&] {
    return load_run(options.run, options.device, options.threads, options.batch, options.precision);
  });
  const data::Dataset test =
      reading_arguments([&] { return load_test_data(run.description, options.data); });
  const train::Metrics metrics = run.trainer->evaluate(test);
  if (options.json) {
    print_line(io::Json::object({{"event", "eval"},
                                 {"samples", metrics.samples},
                                 {"test_accuracy", metrics.accuracy},
                                 {"test_loss", metrics.loss}})
                   .dump());
  } else {
    print_line(fmt::format("{} samples  test accuracy {:.2f} %  test loss {:.4f}", metrics.samples,
                           100 * metrics.accuracy, metrics.loss));
  }
  return kDone;
}

}  // namespace ingot::cli
