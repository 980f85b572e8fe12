// Chooses cuDNN's plans and keeps them.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

#include "ingot/backends/cuda/libraries/conv_library.h"
#include "ingot/backends/cuda/libraries/conv_timer.h"
#include "ingot/backends/cuda/libraries/cublaslt.h"
#include "ingot/backends/cuda/libraries/cudnn_conv.h"
#include "ingot/backends/cuda/libraries/lt_problem.h"
#include "ingot/backends/cuda/libraries/plan_choice.h"
#include "ingot/backends/cuda/libraries/product_library.h"
#include "ingot/base/all_cores.h"
#include "ingot/base/error.h"
#include "ingot/base/trace.h"

namespace ingot::cuda {
namespace {

using Clock = std::chrono::steady_clock;

// Plans of a problem that --tune quick times, one of them a product's where it is one.
constexpr std::size_t kQuickPlans = 3;
constexpr std::size_t kAllPlans = static_cast<std::size_t>(-1);

class CudnnLibrary final : public ConvLibrary {
 public:
  CudnnLibrary(std::shared_ptr<CudaDevice> device, Tune tune,
               std::shared_ptr<KernelChoices> choices, std::shared_ptr<ProductLibrary> products)
      : device_(std::move(device)),
        tune_(tune),
        choices_(std::move(choices)),
        products_(std::move(products)) {}

  std::shared_ptr<const ConvCall> find(const ConvProblem& problem, std::string& why) override {
    const std::string text = problem.text();
    return known_.find(text, why,
                       [&](std::string& reason) { return search(problem, text, reason); });
  }
  [[nodiscard]] std::string version() const override {
    return fmt::format("cudnn {}", cudnn_version());
  }

 private:
  using Calls = std::vector<std::shared_ptr<const ConvCall>>;

  std::shared_ptr<const ConvCall> search(const ConvProblem& problem, const std::string& text,
                                         std::string& why) {
    try {
      device_->make_current();
      if (shared_ == nullptr) shared_ = std::make_shared<SharedHandle>();
      std::shared_ptr<const ConvCall> call = chosen_before(problem, text);
      if (call == nullptr) call = choose(problem, text, why);
      if (call != nullptr) trace_plan(text, *call);
      return call;
    } catch (const Error& error) {
      why = error.what();
      return nullptr;
    }
  }

  [[nodiscard]] std::string key(const std::string& text) const {
    return fmt::format("{}, {}, {}: {}", device_->facts().name, version(), tune_name(tune_), text);
  }

  std::shared_ptr<const ConvCall> chosen_before(const ConvProblem& problem,
                                                const std::string& text) {
    if (tune_ == Tune::off) return nullptr;
    const std::optional<std::string> name = choices_->find(key(text));
    if (!name) return nullptr;
    if (is_lt_name(*name)) {
      if (!is_product(problem)) return nullptr;
      return as_convolution(products_->call(lt_problem(problem), *name), problem.kind);
    }
    return plan_of(problem, *name);
  }

  /// The plan of that name; null when this library has none such.
  [[nodiscard]] std::shared_ptr<const ConvCall> plan_of(const ConvProblem& problem,
                                                        const std::string& name) const {
    const std::lock_guard lock(shared_->mutex);
    for (const Addition addition : additions(problem)) {
      const ConvGraph graph(shared_, problem, addition);
      std::optional<ConvGraph::Config> config = graph.config(name);
      std::string why;
      if (config) return graph.plan(std::move(*config), why);
    }
    return nullptr;
  }

  std::shared_ptr<const ConvCall> choose(const ConvProblem& problem, const std::string& text,
                                         std::string& why) {
    const Clock::time_point start = Clock::now();
    const bool product = tune_ != Tune::off && is_product(problem);
    const std::size_t most = tune_ == Tune::off     ? 1
                             : tune_ == Tune::quick ? kQuickPlans
                                                    : kAllPlans;
    Calls calls = plans(problem, product && tune_ == Tune::quick ? most - 1 : most, why);
    const Clock::time_point built = Clock::now();
    if (tune_ == Tune::off) return calls.empty() ? nullptr : calls.front();
    if (product) {
      for (auto& call : products_->calls(lt_problem(problem))) {
        if (calls.size() == most) break;
        calls.push_back(as_convolution(std::move(call), problem.kind));
      }
    }
    if (calls.empty()) return nullptr;
    std::size_t winner = 0;
    if (calls.size() > 1) {
      std::vector<std::string> names;
      for (const auto& call : calls) names.push_back(call->name());
      ConvTimer timer(device_, problem);
      winner = fastest(text, names, tune_, [&](std::size_t i, int repeats) {
        return timer.seconds(*calls[i], repeats);
      });
    }
    if (trace_enabled(Channel::dispatch)) {
      const auto seconds = [](Clock::duration time) {
        return std::chrono::duration<double>(time).count();
      };
      trace(Channel::dispatch,
            fmt::format("{}: {} plans built in {:.2f} s and timed in {:.2f} s", text, calls.size(),
                        seconds(built - start), seconds(Clock::now() - built)));
    }
    choices_->set(key(text), calls[winner]->name());
    return by_shared_handle(problem, calls[winner]);
  }

  /// Which ways there are to add a tensor, best expected first. What is added to a forward result
  /// is mostly read again, so that it would have to be moved.
  static std::vector<Addition> additions(const ConvProblem& problem) {
    if (!problem.addend || problem.kind == ConvKind::forward) return {Addition::fused};
    return {Addition::in_place, Addition::fused};
  }

  /// At most so many of cuDNN's plans that can be built, best first as the heuristics have it.
  Calls plans(const ConvProblem& problem, std::size_t most, std::string& why) {
    Calls found;
    const std::lock_guard lock(shared_->mutex);
    for (const Addition way : additions(problem)) {
      if (found.empty() || tune_ == Tune::full) add_plans(problem, way, most, found, why);
    }
    return found;
  }

  /// Adds plans of one way of addition until there are `most`.
  void add_plans(const ConvProblem& problem, Addition way, std::size_t most, Calls& found,
                 std::string& why) {
    const std::size_t before = found.size();
    std::vector<std::string> seen;
    std::vector<std::string> refused;
    try {
      const ConvGraph graph(shared_, problem, way);
      for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
        if (mode == CUDNN_HEUR_MODE_FALLBACK && found.size() > before) break;
        try {
          std::vector<ConvGraph::Config> fresh;
          for (ConvGraph::Config& config : graph.configs(mode, refused)) {
            if (std::ranges::find(seen, config.name) != seen.end()) continue;
            seen.push_back(config.name);
            fresh.push_back(std::move(config));
          }
          std::ranges::move(tune_ == Tune::full
                                ? all_plans(problem, way, graph, std::move(fresh), why)
                                : first_plans(graph, std::move(fresh), most - found.size(), why),
                            std::back_inserter(found));
        } catch (const Error& error) {
          why = error.what();
        }
        if (found.size() >= most) return;
      }
    } catch (const Error& error) {
      why = error.what();
    }
    if (found.empty() && !refused.empty()) why = refused.front();
    if (found.empty() && why.empty()) why = "the library knows no engine";
  }

  static Calls first_plans(const ConvGraph& graph, std::vector<ConvGraph::Config> configs,
                           std::size_t most, std::string& why) {
    Calls found;
    for (ConvGraph::Config& config : configs) {
      if (found.size() >= most) break;
      if (auto plan = graph.plan(std::move(config), why)) found.push_back(std::move(plan));
    }
    return found;
  }

  /// Those that compile a kernel, which takes half a second, are built by all cores, each with a
  /// handle of its own that the plan keeps.
  Calls all_plans(const ConvProblem& problem, Addition way, const ConvGraph& graph,
                  std::vector<ConvGraph::Config> configs, std::string& why) const {
    Calls plans(configs.size());
    std::vector<std::string> whys(configs.size());
    std::vector<std::size_t> slow;
    for (std::size_t i = 0; i < configs.size(); ++i) {
      if (configs[i].compiles) {
        slow.push_back(i);
      } else {
        plans[i] = graph.plan(std::move(configs[i]), whys[i]);
      }
    }
    struct Builder {
      std::shared_ptr<SharedHandle> handle;
      std::unique_ptr<ConvGraph> graph;
    };
    std::vector<Builder> builders(static_cast<std::size_t>(worker_count(slow.size())));
    on_all_cores(slow.size(), [&](std::size_t task, int worker) {
      device_->make_current();
      Builder& builder = builders[static_cast<std::size_t>(worker)];
      if (builder.handle == nullptr) builder.handle = std::make_shared<SharedHandle>();
      const std::lock_guard lock(builder.handle->mutex);
      if (builder.graph == nullptr) {
        builder.graph = std::make_unique<ConvGraph>(builder.handle, problem, way);
      }
      const std::size_t i = slow[task];
      std::optional<ConvGraph::Config> config = builder.graph->config(configs[i].name);
      if (config) plans[i] = builder.graph->plan(std::move(*config), whys[i]);
    });
    Calls found;
    for (std::size_t i = 0; i < plans.size(); ++i) {
      if (plans[i] != nullptr) found.push_back(std::move(plans[i]));
      if (!whys[i].empty()) why = whys[i];
    }
    return found;
  }

  /// A plan that a builder's handle made, by the handle that all others share.
  std::shared_ptr<const ConvCall> by_shared_handle(const ConvProblem& problem,
                                                   std::shared_ptr<const ConvCall> call) const {
    if (tune_ != Tune::full || is_lt_name(call->name())) return call;
    std::shared_ptr<const ConvCall> own = plan_of(problem, call->name());
    return own != nullptr ? own : call;
  }

  std::shared_ptr<CudaDevice> device_;
  Tune tune_;
  std::shared_ptr<KernelChoices> choices_;
  std::shared_ptr<SharedHandle> shared_;
  std::shared_ptr<ProductLibrary> products_;
  KnownCalls<ConvCall> known_;
};

}  // namespace

std::shared_ptr<ConvLibrary> make_cudnn_library(std::shared_ptr<CudaDevice> device, Tune tune,
                                                std::shared_ptr<KernelChoices> choices,
                                                std::shared_ptr<ProductLibrary> products,
                                                std::string& why) {
  why = cudnn_trouble();
  if (!why.empty()) return nullptr;
  return std::make_shared<CudnnLibrary>(std::move(device), tune, std::move(choices),
                                        std::move(products));
}

}  // namespace ingot::cuda
