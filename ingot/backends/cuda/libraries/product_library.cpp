#include "ingot/backends/cuda/libraries/product_library.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "ingot/backends/cuda/libraries/cold_timer.h"
#include "ingot/base/error.h"

namespace ingot::cuda {
namespace {

/// Algorithms that are timed; without tuning there is one.
int most_algorithms(Tune tune) {
  constexpr std::array kMost{1, 2, 8};
  return kMost[static_cast<std::size_t>(tune)];
}

std::int64_t bytes_of(const LtMatrix& m, std::int64_t batch) {
  return batch * m.ld * m.columns * static_cast<std::int64_t>(dtype_size(m.dtype));
}

}  // namespace

std::shared_ptr<LtHandle> ProductLibrary::handle() {
  const std::lock_guard lock(handle_mutex_);
  if (handle_ == nullptr) {
    device_->make_current();
    handle_ = make_lt_handle();
  }
  return handle_;
}

std::vector<std::unique_ptr<LtCall>> ProductLibrary::calls(const LtProblem& problem) {
  if (!cublaslt_trouble().empty()) return {};
  return lt_calls(handle(), problem, most_algorithms(tune_));
}

std::unique_ptr<LtCall> ProductLibrary::call(const LtProblem& problem, std::string_view name) {
  if (!is_lt_name(name) || !cublaslt_trouble().empty()) return nullptr;
  return lt_call(handle(), problem, name);
}

std::shared_ptr<const LtCall> ProductLibrary::find(const LtProblem& problem, std::string& why) {
  const std::string text = problem.text();
  return known_.find(text, why, [&](std::string& reason) -> std::shared_ptr<const LtCall> {
    reason = cublaslt_trouble();
    if (!reason.empty()) return nullptr;
    try {
      std::shared_ptr<const LtCall> call = choose(problem, text);
      if (call != nullptr) {
        trace_plan(text, *call);
      } else {
        reason = "the library knows no algorithm";
      }
      return call;
    } catch (const Error& error) {
      reason = error.what();
      return nullptr;
    }
  });
}

std::shared_ptr<const LtCall> ProductLibrary::choose(const LtProblem& problem,
                                                     const std::string& text) {
  const std::string key = fmt::format("{}, cublasLt {}, {}: {}", device_->facts().name,
                                      cublaslt_version(), tune_name(tune_), text);
  if (tune_ != Tune::off) {
    if (const std::optional<std::string> known = choices_->find(key)) {
      if (std::shared_ptr<const LtCall> before = call(problem, *known)) return before;
    }
  }
  std::vector<std::unique_ptr<LtCall>> able = calls(problem);
  if (able.empty()) return nullptr;
  std::size_t winner = 0;
  if (able.size() > 1) {
    const ColdTimer timer(device_);
    const Buffer a = timer.random(bytes_of(problem.a, problem.batch), problem.a.dtype, 1);
    const Buffer b = timer.random(bytes_of(problem.b, problem.batch), problem.b.dtype, 2);
    const std::int64_t result_bytes = bytes_of(problem.d, problem.batch);
    const Buffer d = timer.allocate(result_bytes);
    const Buffer addend = timer.random(problem.addend ? result_bytes : 0, problem.d.dtype, 4);
    const Buffer bias = timer.random(problem.d.rows * 4, problem.bias_dtype, 3);
    std::int64_t most = 0;
    std::vector<std::string> names;
    for (const auto& one : able) {
      most = std::max(most, one->workspace_bytes());
      names.push_back(one->name());
    }
    const Buffer workspace = timer.allocate(most);
    const auto at = [](const Buffer& buffer) { return static_cast<std::byte*>(buffer.data()); };
    const LtMemory memory{at(a), at(b), at(d), at(bias), at(addend)};
    winner = fastest(text, names, tune_, [&](std::size_t i, int repeats) {
      return timer.seconds(
          [&](CUstream stream) { able[i]->enqueue(stream, memory, at(workspace)); }, repeats);
    });
  }
  if (tune_ != Tune::off) choices_->set(key, able[winner]->name());
  return std::move(able[winner]);
}

}  // namespace ingot::cuda
