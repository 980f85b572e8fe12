#include <fmt/core.h>

#include <algorithm>

#include "ingot/base/error.h"
#include "ingot/runtime/backend.h"

namespace ingot {

#define INGOT_BACKEND(name, factory) std::shared_ptr<Backend> factory(const BackendOptions&);
#include "ingot/backends/all_backends.inc"
#undef INGOT_BACKEND

namespace {

struct Entry {
  std::string_view name;
  std::shared_ptr<Backend> (*factory)(const BackendOptions&);
};

constexpr Entry kBackends[] = {
#define INGOT_BACKEND(name, factory) {#name, factory},
#include "ingot/backends/all_backends.inc"
#undef INGOT_BACKEND
};

}  // namespace

std::shared_ptr<Backend> make_backend(std::string_view device, const BackendOptions& options) {
  for (const Entry& entry : kBackends) {
    if (entry.name == device) return entry.factory(options);
  }
  const std::vector<std::string> names = backend_names();
  std::string list;
  for (const std::string& name : names)
    list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", name);
  Error error =
      user_error(ErrorCode::not_found,
                 fmt::format("device \"{}\": must be one of {}, got no such device", device, list));
  if (const auto close = closest_names(device, names); !close.empty()) {
    error.help("did you mean " + close + "?");
  }
  throw error;
}

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kBackends) names.emplace_back(entry.name);
  return names;
}

}  // namespace ingot
