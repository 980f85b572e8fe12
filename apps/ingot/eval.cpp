// `ingot eval`: loss and accuracy of a run on a test set.
#include <fmt/core.h>

#include "apps/ingot/commands.h"
#include "apps/ingot/run_setup.h"

namespace ingot::cli {

int run_eval(const EvalOptions& options) {
  const LoadedRun run = load_run(options.run, options.device, options.threads, options.batch);
  const train::Metrics metrics =
      run.trainer->evaluate(load_test_data(run.description, options.data));
  if (options.json) {
    fmt::print("{}\n", io::Json::object({{"event", "eval"},
                                         {"samples", metrics.samples},
                                         {"test_accuracy", metrics.accuracy},
                                         {"test_loss", metrics.loss}})
                           .dump());
  } else {
    fmt::print("{} samples  test accuracy {:.2f} %  test loss {:.4f}\n", metrics.samples,
               100 * metrics.accuracy, metrics.loss);
  }
  return kDone;
}

}  // namespace ingot::cli
