// `ingot bisect GRAPH`: the first op of a saved graph that differs from the reference or fails.
#include "ingot/engine/bisect.h"

#include <cstdio>

#include "apps/ingot/commands.h"
#include "apps/ingot/usage.h"
#include "ingot/io/file.h"
#include "ingot/ir/parser.h"
#include "ingot/ops/registry.h"

namespace ingot::cli {

int run_bisect(const BisectCommandOptions& options) {
  const std::string text = reading_arguments([&] { return io::read_text_file(options.graph); });
  const auto backend = reading_arguments([&] { return make_backend(options.device); });
  const std::unique_ptr<Graph> graph = parse_graph(text, all_ops());
  const BisectReport report =
      bisect(*graph, backend, {.seed = static_cast<std::uint64_t>(options.seed)});
  if (report.ok) {
    std::printf("%d nodes agree with the reference on device %s\n", report.checked,
                options.device.c_str());
    return 0;
  }
  std::printf("%d nodes agree; the first that does not is \"%s\":\n%s\n", report.checked,
              report.node.c_str(), report.reason.c_str());
  return 1;
}

}  // namespace ingot::cli
