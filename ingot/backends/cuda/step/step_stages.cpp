#include "ingot/backends/cuda/step/step_stages.h"

#include <fmt/core.h>

#include <unordered_set>

#include "ingot/backends/cuda/kernels/tensor_table.h"

namespace ingot::cuda {
namespace {

const Slot& slot_at(const Program& program, int slot) {
  return program.slots[static_cast<std::size_t>(slot)];
}

}  // namespace

Stage copy_stage(const Program& program, const SlotCopy& copy, bool commit) {
  Stage stage;
  const Slot& to = slot_at(program, copy.to);
  const std::int64_t bytes = to.bytes();
  stage.what = fmt::format("copy to \"{}\"", to.value.node()->name());
  stage.commit = commit;
  stage.accesses = {{copy.from, false, false}, {copy.to, true, false}};
  stage.bytes = 2.0 * static_cast<double>(bytes);
  if (copy.predicate >= 0) {
    stage.accesses.push_back({copy.predicate, false, false});
    stage.body += fmt::format("if (get((const bool8*)@{}@, 0)) {{\n", copy.predicate);
  }
  // In words where the size allows: memory of slots is aligned to more than that.
  const bool words = bytes % 4 == 0;
  const std::int64_t count = words ? bytes / 4 : bytes;
  const std::string_view type = words ? "u32" : "u8";
  stage.units = std::max<std::int64_t>((count + kThreads - 1) / kThreads, 1);
  stage.body += fmt::format(
      "const i64 i = (i64)unit * {0} + threadIdx.x;\n"
      "if (i < {1}) (({2}*)@{3}@)[i] = ((const {2}*)@{4}@)[i];\n",
      kThreads, count, type, copy.to, copy.from);
  if (copy.predicate >= 0) stage.body += "}\n";
  return stage;
}

namespace {

/// Copies of whole words under one predicate, none of which needs another.
Stage joined_copies(const Program& program, std::span<const SlotCopy> copies, bool commit) {
  Stage stage;
  const Slot& first = slot_at(program, copies.front().to);
  stage.what = fmt::format("{} copies, \"{}\" first", copies.size(), first.value.node()->name());
  stage.commit = commit;
  std::vector<std::int64_t> words;
  for (const SlotCopy& copy : copies) {
    words.push_back(slot_at(program, copy.to).bytes() / 4);
    stage.bytes += 8.0 * static_cast<double>(words.back());
    stage.accesses.push_back({copy.from, false, false});
    stage.accesses.push_back({copy.to, true, false});
  }
  const int predicate = copies.front().predicate;
  const TensorTable table = tensor_table(words, kThreads);
  stage.units = table.units;
  std::string& code = stage.body;
  if (predicate >= 0) {
    stage.accesses.push_back({predicate, false, false});
    code += fmt::format("if (get((const bool8*)@{}@, 0)) {{\n", predicate);
  }
  code += table.text;
  code += table_pointer("from", copies.size(), [&](std::size_t i) { return copies[i].from; });
  code += table_pointer("to", copies.size(), [&](std::size_t i) { return copies[i].to; });
  code +=
      "const i64 i = first + threadIdx.x;\nif (i < size) ((u32*)to)[i] = ((const u32*)from)[i];\n";
  if (predicate >= 0) code += "}\n";
  return stage;
}

}  // namespace

std::vector<Stage> copy_stages(const Program& program, std::span<const SlotCopy> copies,
                               bool commit) {
  constexpr std::size_t kMost = 128;
  std::vector<Stage> stages;
  std::vector<SlotCopy> open;
  std::unordered_set<int> read;
  std::unordered_set<int> written;
  const auto close = [&] {
    if (open.size() == 1) stages.push_back(copy_stage(program, open.front(), commit));
    if (open.size() > 1) stages.push_back(joined_copies(program, open, commit));
    open.clear();
    read.clear();
    written.clear();
  };
  for (const SlotCopy& copy : copies) {
    const std::int64_t bytes = slot_at(program, copy.to).bytes();
    if (bytes == 0) continue;
    const int from = program.root_of(copy.from);
    const int to = program.root_of(copy.to);
    const bool joins = !open.empty() && open.size() < kMost && bytes % 4 == 0 &&
                       slot_at(program, open.front().to).bytes() % 4 == 0 &&
                       open.front().predicate == copy.predicate && !written.contains(from) &&
                       !written.contains(to) && !read.contains(to);
    if (!joins) close();
    open.push_back(copy);
    read.insert(from);
    if (copy.predicate >= 0) read.insert(program.root_of(copy.predicate));
    written.insert(to);
  }
  close();
  return stages;
}

Stage finish_stage(const Program& program) {
  Stage stage;
  stage.what = "end of the step";
  stage.mode = Mode::single;
  // All loads before the first store, which the compiler could not move them past.
  stage.body =
      "if (threadIdx.x == 0) {\nControl* const c = P.control;\nconst i64 done = c->step;\n";
  std::string stores;
  int count = 0;
  for (const BoundFetch& fetch : program.fetches) {
    if (fetch.ring_index < 0) continue;
    const DType dtype = slot_at(program, fetch.slot).value.dtype();
    stage.body += fmt::format("const double f{} = (double)get({}, 0);\n", fetch.ring_index,
                              pointer_to(fetch.slot, dtype));
    stores += fmt::format("ring[{0}] = f{0};\n", fetch.ring_index);
    stage.accesses.push_back({fetch.slot, false, false});
    ++count;
  }
  stage.body += fmt::format(
      "if (!go) {{\nc->failed = 1;\n}} else {{\n"
      "const bool small = ((done | P.capacity) >> 32) == 0;\n"
      "const i64 at = small ? (i64)((u32)done % (u32)P.capacity) : done % P.capacity;\n"
      "double* const ring = P.ring + at * {};\n{}c->step = done + 1;\n}}\n}}\n",
      count, stores);
  return stage;
}

std::string sound_so_far() { return "(P.control->failed == 0) & (P.control->node < 0)"; }

std::string finite_fetches(const Program& program) {
  std::string text;
  std::unordered_set<int> written;
  for (const Launch& launch : program.main) {
    for (const int output : launch.outputs) written.insert(program.root_of(output));
  }
  for (const BoundFetch& fetch : program.fetches) {
    const DType dtype = slot_at(program, fetch.slot).value.dtype();
    if (fetch.ring_index < 0 || !is_float(dtype)) continue;
    if (!written.contains(program.root_of(fetch.slot))) continue;
    text += fmt::format(" & op_finite(get({}, 0))", pointer_to(fetch.slot, dtype));
  }
  return text;
}

std::string may_commit(const Program& program, bool check_numerics) {
  return sound_so_far() + (check_numerics ? finite_fetches(program) : "");
}

}  // namespace ingot::cuda
