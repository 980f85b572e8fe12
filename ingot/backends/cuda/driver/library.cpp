#include "ingot/backends/cuda/driver/library.h"

#include <dlfcn.h>
#include <fmt/core.h>

#include <cstdlib>
#include <filesystem>

namespace ingot::cuda {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> python_roots() {
  std::vector<fs::path> roots;
  const auto add_list = [&roots](const char* list) {
    std::string_view rest = list == nullptr ? "" : list;
    while (!rest.empty()) {
      const auto end = std::min(rest.find(':'), rest.size());
      if (end > 0) roots.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  };
  add_list(std::getenv("PYTHONPATH"));
  std::vector<fs::path> prefixes{"/usr/local", "/usr"};
  if (const char* venv = std::getenv("VIRTUAL_ENV"); venv != nullptr) {
    prefixes.insert(prefixes.begin(), venv);
  }
  // The interpreter that the shell would start may live in an environment of its own.
  std::string_view path = std::getenv("PATH") == nullptr ? "" : std::getenv("PATH");
  while (!path.empty()) {
    const auto end = std::min(path.find(':'), path.size());
    std::error_code error;
    const fs::path bin(path.substr(0, end));
    if (fs::exists(bin / "python3", error)) prefixes.push_back(bin.parent_path());
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  for (const fs::path& prefix : prefixes) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(prefix / "lib", error)) {
      if (!entry.path().filename().string().starts_with("python3")) continue;
      roots.push_back(entry.path() / "site-packages");
      roots.push_back(entry.path() / "dist-packages");
    }
  }
  return roots;
}

std::vector<fs::path> folders() {
  std::vector<fs::path> found;
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    if (const char* home = std::getenv(variable); home != nullptr) {
      found.push_back(fs::path(home) / "lib64");
      found.push_back(fs::path(home) / "lib");
    }
  }
  for (const char* folder : {"/usr/local/cuda/lib64", "/usr/local/cuda/lib"}) {
    found.emplace_back(folder);
  }
  for (const fs::path& root : python_roots()) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(root / "nvidia", error)) {
      found.push_back(entry.path() / "lib");
    }
  }
  return found;
}

}  // namespace

Library::Library(std::span<const std::string_view> file_names) {
  for (const std::string_view name : file_names) {
    handle_ = dlopen(std::string(name).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ != nullptr) {
      detail_ = name;
      return;
    }
    if (const char* said = dlerror(); said != nullptr && detail_.empty()) detail_ = said;
  }
  for (const fs::path& folder : folders()) {
    for (const std::string_view name : file_names) {
      std::error_code error;
      if (!fs::exists(folder / name, error)) continue;
      handle_ = dlopen((folder / name).c_str(), RTLD_NOW | RTLD_LOCAL);
      if (handle_ != nullptr) {
        detail_ = (folder / name).string();
        return;
      }
      if (const char* said = dlerror(); said != nullptr) detail_ = said;
    }
  }
}

void* Library::symbol(const char* name) const noexcept {
  return handle_ == nullptr ? nullptr : dlsym(handle_, name);
}

std::string Library::without(std::string_view title, std::string_view name) {
  return fmt::format("a {} without {}", title, name);
}

Error missing_library(std::string_view name, std::string_view trouble, std::string_view package) {
  Error error = unsupported_error(fmt::format("{}: must be installed, got {}", name, trouble));
  error.help(fmt::format("pip install {}, or put its folder on LD_LIBRARY_PATH", package));
  return error;
}

}  // namespace ingot::cuda
