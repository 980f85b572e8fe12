// Chooses cuDNN's plans and keeps them.
#include <fmt/core.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ingot/backends/cuda/conv_library.h"
#include "ingot/backends/cuda/conv_timer.h"
#include "ingot/backends/cuda/cublaslt.h"
#include "ingot/backends/cuda/cudnn_conv.h"
#include "ingot/base/error.h"
#include "ingot/base/trace.h"

namespace ingot::cuda {
namespace {

// Plans that --tune quick times.
constexpr std::size_t kQuickPlans = 3;
// Algorithms of cuBLASLt that are timed.
constexpr int kQuickProducts = 2;
constexpr int kFullProducts = 8;
/// A plan must take less than this share of the first one's time to replace it.
constexpr double kClearlyFaster = 0.98;

class CudnnLibrary final : public ConvLibrary {
 public:
  CudnnLibrary(std::shared_ptr<CudaDevice> device, Tune tune,
               std::shared_ptr<KernelChoices> choices)
      : device_(std::move(device)), tune_(tune), choices_(std::move(choices)) {}

  std::shared_ptr<const ConvCall> find(const ConvProblem& problem, std::string& why) override {
    const std::string text = problem.text();
    const std::lock_guard lock(mutex_);
    const auto [it, fresh] = known_.try_emplace(text);
    if (fresh) it->second = search(problem, text);
    why = it->second.why;
    return it->second.call;
  }

 private:
  struct Found {
    std::shared_ptr<const ConvCall> call;
    std::string why;
  };

  using Calls = std::vector<std::shared_ptr<const ConvCall>>;

  Found search(const ConvProblem& problem, const std::string& text) {
    Found found;
    try {
      device_->make_current();
      if (shared_ == nullptr) shared_ = std::make_shared<SharedHandle>();
      found.call = chosen_before(problem, text);
      if (found.call == nullptr) found.call = choose(problem, text, found.why);
      if (found.call != nullptr) {
        found.why.clear();
        if (trace_enabled(Channel::dispatch)) {
          trace(Channel::dispatch, fmt::format("{}: {}, {} bytes of workspace", text,
                                               found.call->name(), found.call->workspace_bytes()));
        }
      }
    } catch (const Error& error) {
      found.why = error.what();
    }
    return found;
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
    for (auto& call : products(problem)) {
      if (call->name() == *name) return std::move(call);
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
    if (tune_ != Tune::off) {
      for (auto& call : products(problem)) calls.push_back(std::move(call));
    }
    if (calls.empty()) return nullptr;
    if (calls.size() == 1) return calls.front();
    ConvTimer timer(device_, problem);
    std::size_t winner = 0;
    double first = 0;
    double best = 0;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      const double seconds = timer.seconds(*calls[i], tune_ == Tune::full ? 7 : 3);
      if (trace_enabled(Channel::dispatch)) {
        trace(Channel::dispatch,
              fmt::format("{}: {} takes {:.1f} us", text, calls[i]->name(), 1e6 * seconds));
      }
      if (i == 0) first = best = seconds;
      if (seconds < best && seconds < kClearlyFaster * first) {
        winner = i;
        best = seconds;
      }
    }
    choices_->set(key(text), calls[winner]->name());
    return calls[winner];
  }

  /// As products of matrices, where the problem is one.
  Calls products(const ConvProblem& problem) {
    if (!is_product(problem) || !cublaslt_trouble().empty()) return {};
    if (lt_ == nullptr) lt_ = make_lt_handle();
    Calls calls;
    const int most = tune_ == Tune::full ? kFullProducts : kQuickProducts;
    for (auto& call : product_calls(lt_, problem, most)) calls.push_back(std::move(call));
    return calls;
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
  std::shared_ptr<LtHandle> lt_;
  std::mutex mutex_;
  std::unordered_map<std::string, Found> known_;
};

}  // namespace

std::shared_ptr<ConvLibrary> make_cudnn_library(std::shared_ptr<CudaDevice> device, Tune tune,
                                                std::shared_ptr<KernelChoices> choices,
                                                std::string& why) {
  why = cudnn_trouble();
  if (!why.empty()) return nullptr;
  if (choices == nullptr) choices = std::make_shared<KernelChoices>();
  return std::make_shared<CudnnLibrary>(std::move(device), tune, std::move(choices));
}

}  // namespace ingot::cuda
