#include "ingot/train/kernel_cache.h"

#include <fmt/core.h>

#include <cstdlib>
#include <utility>

#include "ingot/base/env.h"
#include "ingot/base/error.h"
#include "ingot/io/file.h"
#include "ingot/io/json.h"

namespace ingot::train {
namespace {

constexpr std::int64_t kVersion = 1;

KernelChoices::Map read_choices(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return {};
  const io::Json json = io::Json::parse(io::read_text_file(file), "choices of kernels");
  if (const std::int64_t version = json.i64_at("version"); version != kVersion) {
    throw user_error(ErrorCode::invalid_data,
                     fmt::format("must be of version {}, got {}", kVersion, version));
  }
  KernelChoices::Map kernels;
  for (const io::JsonMember& member : json.object_at("kernels")) {
    kernels.emplace(member.key, member.value.as_string());
  }
  return kernels;
}

void write_choices(const std::filesystem::path& file, const KernelChoices::Map& kernels) {
  io::Json list = io::Json::object();
  for (const auto& [problem, kernel] : kernels) list.set(problem, kernel);
  io::make_writable_folder(file.parent_path());
  io::write_file_atomically(
      file, io::Json::object({{"version", kVersion}, {"kernels", std::move(list)}}).dump_pretty());
}

std::string first_line(std::string text) {
  text.resize(std::min(text.size(), text.find('\n')));
  return text;
}

/// None where the file is broken: the constructor has said so, unless it broke since, and either
/// way it is written anew.
KernelChoices::Map readable_choices(const std::filesystem::path& file) {
  try {
    return read_choices(file);
  } catch (const std::exception&) {
    return {};
  }
}

}  // namespace

std::filesystem::path kernel_cache_file() {
  std::filesystem::path folder = env_text("INGOT_TUNE_DIR");
  const auto home = [&](const char* variable, const char* under) {
    const char* const value = std::getenv(variable);
    if (folder.empty() && value != nullptr && *value != '\0') {
      folder = std::filesystem::path(value) / under;
    }
  };
  home("XDG_CACHE_HOME", "ingot");
  home("HOME", ".cache/ingot");
  return folder.empty() ? folder : folder / "kernels.json";
}

KernelCache::KernelCache(Tune tune, const std::string& device, std::filesystem::path file)
    : tune_(tune), file_(std::move(file)), choices_(std::make_shared<KernelChoices>()) {
  if (tune_ == Tune::off) return;
  if (device != "cpu" && device != "cuda") {
    throw user_error(
        ErrorCode::invalid_argument,
        fmt::format("tune \"{}\": device must be \"cpu\" or \"cuda\", where kernels are "
                    "chosen by timing, got \"{}\"",
                    tune_name(tune_), device));
  }
  if (file_.empty()) {
    warnings_.emplace_back(
        "kernel choices are not kept: INGOT_TUNE_DIR, XDG_CACHE_HOME or HOME must be set");
    return;
  }
  try {
    choices_ = std::make_shared<KernelChoices>(read_choices(file_));
  } catch (const std::exception& error) {
    warnings_.push_back(fmt::format("kernel choices \"{}\" are not used, and are written anew: {}",
                                    file_.string(), first_line(error.what())));
  }
}

BackendOptions KernelCache::backend_options(int threads) const {
  return {.threads = threads, .tune = tune_, .choices = choices_};
}

void KernelCache::save() {
  if (tune_ == Tune::off || file_.empty() || choices_->changes() == saved_changes_) return;
  saved_changes_ = choices_->changes();
  KernelChoices::Map kernels = choices_->all();
  kernels.merge(readable_choices(file_));
  try {
    write_choices(file_, kernels);
  } catch (const std::exception& error) {
    warnings_.push_back(fmt::format("kernel choices \"{}\" are not kept: {}", file_.string(),
                                    first_line(error.what())));
  }
}

}  // namespace ingot::train
