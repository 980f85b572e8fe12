// Checkpoints: the state of a run in a folder, all of it or none.
//
//   FOLDER/current -> checkpoint-K           replaced by one rename, when checkpoint-K is complete
//   FOLDER/checkpoint-K/model.safetensors    parameters and buffers
//   FOLDER/checkpoint-K/optimizer.safetensors  optimizer state and counters
//   FOLDER/checkpoint-K/state.json           the rest, and both files' sizes and checksums
//   FOLDER/model.safetensors -> current/model.safetensors, and the same for the other two
//
// A crash at any time leaves the old checkpoint or the new one, never a mixture. A folder that
// holds the three files themselves, as a copy without the links does, can be read too.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "ingot/base/host_view.h"
#include "ingot/io/json.h"

namespace ingot::io {

using NamedTensors = std::vector<std::pair<std::string, HostTensor>>;

struct Checkpoint {
  NamedTensors model;
  NamedTensors optimizer;
  Json state = Json::object();  ///< an object without the members "format", "version", "files"
};

/// The version that write_checkpoint writes and read_checkpoint accepts.
inline constexpr int kCheckpointVersion = 1;

/// Makes the folder when missing, writes, makes the new checkpoint the current one and removes the
/// one before. Errors: io; those of write_safetensors.
void write_checkpoint(const std::filesystem::path& folder, const Checkpoint& checkpoint);

/// Errors: not_found without a checkpoint; invalid_data `checkpoint "p": <rule>, got ...` when a
/// file is not the one that was written, or for another version; those of reading the files.
Checkpoint read_checkpoint(const std::filesystem::path& folder);

/// Its state alone, without the tensors.
Json read_checkpoint_state(const std::filesystem::path& folder);

}  // namespace ingot::io
