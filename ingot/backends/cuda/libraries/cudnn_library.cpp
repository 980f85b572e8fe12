// Chooses cuDNN's plans and keeps them.
#include <fmt/core.h>

#include <algorithm>
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
#include "ingot/base/error.h"

namespace ingot::cuda {
namespace {

// Plans that --tune quick times.
constexpr std::size_t kQuickPlans = 3;

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
    return fmt::format("{}, cudnn {}, {}: {}", device_->facts().name, cudnn_version(),
                       tune_name(tune_), text);
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
    const std::lock_guard lock(shared_->mutex);
    const ConvGraph graph(shared_, problem);
    std::optional<ConvGraph::Config> config = graph.config(*name);
    std::string why;
    return config ? graph.plan(std::move(*config), why) : nullptr;
  }

  std::shared_ptr<const ConvCall> choose(const ConvProblem& problem, const std::string& text,
                                         std::string& why) {
    Calls calls = plans(problem, why);
    if (tune_ == Tune::off) return calls.empty() ? nullptr : calls.front();
    if (is_product(problem)) {
      for (auto& call : products_->calls(lt_problem(problem))) {
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
    choices_->set(key(text), calls[winner]->name());
    return calls[winner];
  }

  /// cuDNN's plans that can be built, best first as the heuristics have it: as many as are timed.
  Calls plans(const ConvProblem& problem, std::string& why) {
    const std::size_t most = tune_ == Tune::off     ? 1
                             : tune_ == Tune::quick ? kQuickPlans
                                                    : static_cast<std::size_t>(-1);
    Calls found;
    std::vector<std::string> seen;
    std::vector<std::string> refused;
    const std::lock_guard lock(shared_->mutex);
    const ConvGraph graph(shared_, problem);
    for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
      if (mode == CUDNN_HEUR_MODE_FALLBACK && !found.empty()) break;
      try {
        for (ConvGraph::Config& config : graph.configs(mode, refused)) {
          if (found.size() >= most) return found;
          if (std::ranges::find(seen, config.name) != seen.end()) continue;
          seen.push_back(config.name);
          if (auto plan = graph.plan(std::move(config), why)) found.push_back(std::move(plan));
        }
      } catch (const Error& error) {
        why = error.what();
      }
    }
    if (found.empty() && !refused.empty()) why = refused.front();
    if (found.empty() && why.empty()) why = "the library knows no engine";
    return found;
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
