// A non-owning reference to a callable: passing one allocates nothing.
#pragma once

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace ingot {

template <typename Signature>
class FunctionRef;

/// Refers to a callable that outlives it; meant for parameters, as std::string_view is for text.
template <typename R, typename... Args>
class FunctionRef<R(Args...)> {
 public:
  template <typename F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef> &&
             std::is_invocable_r_v<R, F&, Args...>)
  // NOLINTNEXTLINE(google-explicit-constructor): lambdas convert at the call
  FunctionRef(F&& callable) noexcept {
    using Target = std::remove_reference_t<F>;
    if constexpr (std::is_function_v<Target>) {
      target_.function = reinterpret_cast<void (*)()>(&callable);
      call_ = [](Any target, Args... args) -> R {
        return std::invoke(reinterpret_cast<Target*>(target.function), std::forward<Args>(args)...);
      };
    } else {
      target_.object = const_cast<void*>(static_cast<const void*>(std::addressof(callable)));
      call_ = [](Any target, Args... args) -> R {
        return std::invoke(*static_cast<Target*>(target.object), std::forward<Args>(args)...);
      };
    }
  }

  R operator()(Args... args) const { return call_(target_, std::forward<Args>(args)...); }

 private:
  union Any {
    void* object;
    void (*function)();
  };

  Any target_{};
  R (*call_)(Any, Args...) = nullptr;
};

}  // namespace ingot
