#include "ingot/engine/compile.h"

#include <fmt/core.h>

#include <utility>

#include "ingot/base/env.h"
#include "ingot/base/tool_range.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/ir/core_ops.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"

namespace ingot {

/// The one place that may make an Executable.
class ExecutableBuilder {
 public:
  static Executable make(Program program, VariableStore& store, const CompileOptions& options) {
    return Executable(std::make_unique<Executable::Impl>(std::move(program), store, options));
  }
};

Executable compile(const Graph& graph, VariableStore& store, const CompileOptions& options) {
  const ToolRange range("ingot compile");
  check_environment();
  PassContext context(*store.backend());
  context.fixed_layouts = store.fixed_layouts();
  context.external = store.external_variables();
  std::unique_ptr<Graph> lowered = run_passes(graph, pass_list(), options.disabled_passes, context);
  std::vector<VariableRequest> requests;
  for (const Node* node : lowered->nodes_of(variable_op())) {
    requests.push_back({node->name(), node->output_type(), node->outputs()[0].layout,
                        role_of(*node), initializer_of(*node)});
  }
  store.prepare(requests);
  return ExecutableBuilder::make(build_program(std::move(lowered), *store.backend(), context.form),
                                 store, options);
}

}  // namespace ingot
