#include "ingot/io/checkpoint.h"

#include <fmt/core.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "ingot/base/error.h"
#include "ingot/io/file.h"
#include "ingot/io/safetensors.h"

namespace ingot::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFormat = "ingot-checkpoint";
constexpr const char* kModel = "model.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kState = "state.json";
constexpr const char* kCurrent = "current";
constexpr std::string_view kPrefix = "checkpoint-";

Error damaged(const fs::path& path, const std::string& rule) {
  return user_error(ErrorCode::invalid_data,
                    fmt::format("checkpoint \"{}\": {}", path.string(), rule));
}

void check(const std::error_code& error, const fs::path& path, std::string_view rule) {
  if (error) throw file_error(path.string(), rule, error.value());
}

/// FNV-1a, 64 bits (Fowler, Noll and Vo).
std::uint64_t checksum(std::span<const std::byte> bytes) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const std::byte byte : bytes) {
    hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3u;
  }
  return hash;
}

Json facts_of(const fs::path& path) {
  const MappedFile file(path);
  return Json::object(
      {{"bytes", file.bytes().size()}, {"fnv1a", fmt::format("{:016x}", checksum(file.bytes()))}});
}

void write_tensors(const fs::path& path, const NamedTensors& tensors) {
  std::vector<SafetensorsTensor> views;
  for (const auto& [name, tensor] : tensors) views.push_back({name, tensor.type(), tensor.bytes()});
  // What Python's readers ask for.
  write_safetensors(path, views, {{"format", "pt"}});
}

NamedTensors read_tensors(const fs::path& folder, const char* name, const Json& state) {
  const fs::path path = folder / name;
  const Json found = facts_of(path);
  const Json& written = state.at("files").at(name);
  if (!(found == written)) {
    throw damaged(path, fmt::format("must be the file that state.json describes ({}), got {}",
                                    written.dump(), found.dump()));
  }
  const SafetensorsFile file(path);
  NamedTensors tensors;
  for (const SafetensorsEntry& entry : file.entries()) {
    tensors.emplace_back(entry.name, file.tensor(entry.name));
  }
  return tensors;
}

/// Removes the folder again unless it was finished, so that a full disk does not stay full.
class PartialFolder {
 public:
  explicit PartialFolder(fs::path path) : path_(std::move(path)) {}
  ~PartialFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;
  void keep() noexcept { path_.clear(); }

 private:
  fs::path path_;
};

/// The first checkpoint-K that does not exist.
fs::path fresh_name(const fs::path& folder) {
  std::error_code error;
  for (int k = 1;; ++k) {
    fs::path name = fmt::format("{}{}", kPrefix, k);
    if (!fs::exists(fs::symlink_status(folder / name, error))) return name;
  }
}

/// A link at `link` to `target`, in place of what is there, by one rename.
void replace_link(const fs::path& target, const fs::path& link) {
  std::error_code error;
  if (fs::is_symlink(link, error) && fs::read_symlink(link, error) == target) return;
  fs::path fresh = link;
  fresh += ".new";
  fs::remove(fresh, error);
  fs::create_symlink(target, fresh, error);
  check(error, link, "writable");
  fs::rename(fresh, link, error);
  check(error, link, "writable");
}

void remove_others(const fs::path& folder, const fs::path& keep) {
  std::error_code error;
  std::vector<fs::path> old;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const fs::path name = it->path().filename();
    if (name != keep && name.string().starts_with(kPrefix)) old.push_back(it->path());
  }
  for (const fs::path& path : old) {
    fs::remove_all(path, error);
    check(error, path, "removable");
  }
}

/// Where the files lie; resolved once, so that a checkpoint written meanwhile does not mix in.
fs::path files_of(const fs::path& folder) {
  std::error_code error;
  const fs::path target = fs::read_symlink(folder / kCurrent, error);
  const fs::path files = error ? folder : folder / target;
  if (!fs::exists(files / kState, error)) {
    throw user_error(
        ErrorCode::not_found,
        fmt::format("checkpoint \"{}\": must hold {}, got no such file", folder.string(), kState));
  }
  return files;
}

Json read_state(const fs::path& files) {
  const fs::path path = files / kState;
  Json state = Json::parse(read_text_file(path), path.string());
  const Json* format = state.find("format");
  const Json* version = state.find("version");
  if (format == nullptr || version == nullptr || !(*format == Json(kFormat))) {
    throw damaged(path, fmt::format("format must be \"{}\", got {}", kFormat,
                                    format == nullptr ? "none" : format->describe()));
  }
  if (!(*version == Json(kCheckpointVersion))) {
    throw damaged(
        path, fmt::format("version must be {}, got {}", kCheckpointVersion, version->describe()));
  }
  return state;
}

}  // namespace

void write_checkpoint(const fs::path& folder, const Checkpoint& checkpoint) {
  std::error_code error;
  const fs::path name = fresh_name(folder);
  const fs::path files = folder / name;
  fs::create_directories(files, error);
  check(error, files, "creatable");
  PartialFolder partial(files);

  write_tensors(files / kModel, checkpoint.model);
  write_tensors(files / kOptimizer, checkpoint.optimizer);
  Json state = Json::object({{"format", kFormat}, {"version", kCheckpointVersion}});
  for (const JsonMember& member : checkpoint.state.as_object()) state.set(member.key, member.value);
  state.set("files", Json::object({{kModel, facts_of(files / kModel)},
                                   {kOptimizer, facts_of(files / kOptimizer)}}));
  write_file_atomically(files / kState, state.dump_pretty());

  sync_folder(folder);
  replace_link(name, folder / kCurrent);
  partial.keep();
  sync_folder(folder);
  for (const char* file : {kModel, kOptimizer, kState}) {
    replace_link(fs::path(kCurrent) / file, folder / file);
  }
  remove_others(folder, name);
}

Json read_checkpoint_state(const fs::path& folder) { return read_state(files_of(folder)); }

Checkpoint read_checkpoint(const fs::path& folder) {
  const fs::path files = files_of(folder);
  Checkpoint checkpoint;
  checkpoint.state = read_state(files);
  checkpoint.model = read_tensors(files, kModel, checkpoint.state);
  checkpoint.optimizer = read_tensors(files, kOptimizer, checkpoint.state);
  return checkpoint;
}

}  // namespace ingot::io
