#include "ingot/engine/executable.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <exception>
#include <iterator>
#include <utility>

#include "ingot/base/error.h"
#include "ingot/base/tool_range.h"
#include "ingot/base/trace.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/memory/tensor.h"
#include "ingot/runtime/convert_layout.h"
#include "ingot/runtime/variable_store.h"

namespace ingot {
namespace {

std::vector<std::string> ring_names(const Program& program) {
  std::vector<std::string> names;
  for (const BoundFetch& fetch : program.fetches) {
    if (fetch.ring_index >= 0) names.push_back(fetch.name);
  }
  return names;
}

Error feed_error(std::string_view name, const std::string& rule) {
  return user_error(ErrorCode::invalid_feed, fmt::format("feed \"{}\": {}", name, rule));
}

}  // namespace

Executable::Impl::Impl(Program p, VariableStore& s, const CompileOptions& o)
    : program(std::move(p)),
      store(&s),
      backend(s.backend()),
      options(o),
      addresses(program.slots.size(), nullptr),
      fed(program.feeds.size()),
      ring(ring_names(program), o.ring_capacity) {
  for (const Node* assign : program.graph->nodes_of(assign_op())) {
    assigned.push_back(&store->segment(assign->input(0).node()->name()));
  }
  std::vector<CopyRequest> requests;
  for (const BoundCopy& copy : program.kept) requests.push_back({copy.variable, copy.dtype});
  copies = store->prepare_copies(requests);
  try {
    store->reserve_scratch(program.arena_bytes);
  } catch (Error& error) {
    for (const MemoryOwner& owner : program.stats.largest) {
      error.note(
          fmt::format("\"{}\" takes {} bytes when the arena is fullest", owner.name, owner.bytes));
    }
    throw;
  }
  upload_constants();
  resolve_addresses();
  runner = backend->make_runner(
      {program, *store, addresses, o.check_numerics, o.ring_capacity, profiled()});
  if (runner == nullptr) return;
  program.stats.device_nodes = runner->nodes();
  program.stats.modules = runner->modules();
}

Executable::Impl::~Impl() {
  if (!trace_enabled(Channel::kernels) || steps == 0) return;
  try {
    trace_kernels();
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
    // A report that fails must not end the program.
  }
}

void Executable::Impl::upload_constants() {
  if (program.constant_bytes == 0) return;
  const auto device = backend->device();
  constants =
      Buffer::allocate(device, static_cast<std::size_t>(program.constant_bytes), "constants");
  for (std::size_t i = 0; i < program.slots.size(); ++i) {
    const Slot& slot = program.slots[i];
    if (slot.storage != Slot::Storage::constant || slot.root != static_cast<int>(i)) continue;
    const auto& tensor = *slot.value.node()->attr<TensorAttr>("value").tensor;
    std::vector<std::byte> physical(static_cast<std::size_t>(slot.bytes()));
    to_physical(tensor.view(), slot.value.layout(), physical.data());
    device->copy_to_device(static_cast<std::byte*>(constants.data()) + slot.offset, physical.data(),
                           physical.size());
  }
}

void Executable::Impl::resolve_addresses() {
  for (std::size_t i = 0; i < program.slots.size(); ++i) {
    const Slot& slot = program.slots[i];
    const Slot& root =
        program.slots[static_cast<std::size_t>(program.root_of(static_cast<int>(i)))];
    switch (root.storage) {
      case Slot::Storage::feed: break;
      case Slot::Storage::variable:
        addresses[i] = store->segment(root.value.node()->name()).data;
        break;
      case Slot::Storage::constant:
        addresses[i] = static_cast<std::byte*>(constants.data()) + root.offset;
        break;
      case Slot::Storage::copy:
        addresses[i] = copies[static_cast<std::size_t>(root.offset)]->data;
        break;
      case Slot::Storage::scratch:
        addresses[i] = slot.first < 0 && root.first < 0 ? nullptr : store->scratch() + root.offset;
        break;
    }
  }
  scratch_version = store->scratch_version();
  if (runner != nullptr) runner->rebind(addresses);
}

void Executable::Impl::refresh_copies() {
  if (std::ranges::all_of(copies, &VariableCopy::current)) return;
  if (runner != nullptr) {
    runner->refresh();
  } else {
    run_launches(program.refresh);
  }
  for (VariableCopy* copy : copies) copy->set_current();
}

void Executable::Impl::check_feeds(std::span<const Feed> given, int count) {
  std::fill(fed.begin(), fed.end(), FeedMemory{});
  for (const Feed& feed : given) {
    const auto it = std::find_if(program.feeds.begin(), program.feeds.end(),
                                 [&](const BoundFeed& b) { return b.name == feed.name; });
    if (it == program.feeds.end()) {
      std::vector<std::string> names;
      for (const BoundFeed& known : program.feeds) names.push_back(known.name);
      Error error = feed_error(feed.name, "must be a placeholder of the graph, got no such name");
      if (const auto close = closest_names(feed.name, names); !close.empty()) {
        error.help("did you mean " + close + "?");
      }
      throw error;
    }
    const auto index = static_cast<std::size_t>(it - program.feeds.begin());
    if (fed[index].data != nullptr) throw feed_error(feed.name, "must be given once, got it twice");
    const TensorType& type = it->type;
    const auto bytes = static_cast<std::size_t>(type.bytes());
    if (feed.type && *feed.type != type) {
      std::vector<std::int64_t> dims{count};
      dims.insert(dims.end(), type.shape.begin(), type.shape.end());
      const bool stacked = count > 1 && type.shape.rank() < Shape::kMaxRank &&
                           *feed.type == TensorType{type.dtype, Shape(dims)};
      if (!stacked) {
        throw feed_error(
            feed.name, fmt::format("must be {}, got {}", type.to_string(), feed.type->to_string()));
      }
    }
    // No bytes need no memory, but a fed address is never null.
    static constexpr std::byte kNothing{};
    const bool nothing = feed.data == nullptr && bytes == 0;
    if (feed.data == nullptr && !nothing) {
      throw feed_error(feed.name,
                       fmt::format("{} needs memory, got a null pointer", type.to_string()));
    }
    if (feed.bytes < bytes) {
      throw feed_error(feed.name, fmt::format("{} needs {} bytes, got a buffer of {}",
                                              type.to_string(), bytes, feed.bytes));
    }
    const bool stacked =
        feed.type ? *feed.type != type : feed.bytes == bytes * static_cast<std::size_t>(count);
    if (stacked && feed.bytes < bytes * static_cast<std::size_t>(count)) {
      throw feed_error(feed.name,
                       fmt::format("{} needs {} bytes, got a buffer of {}", feed.type->to_string(),
                                   bytes * static_cast<std::size_t>(count), feed.bytes));
    }
    fed[index] = {nothing ? &kNothing : static_cast<const std::byte*>(feed.data),
                  count > 1 && stacked ? static_cast<std::int64_t>(bytes) : 0,
                  feed.on_device && !nothing};
  }
  for (std::size_t i = 0; i < fed.size(); ++i) {
    if (fed[i].data == nullptr) {
      throw feed_error(program.feeds[i].name, fmt::format("must be given ({}), got none",
                                                          program.feeds[i].type.to_string()));
    }
  }
}

void Executable::Impl::set_feed(std::size_t feed, const std::byte* data) noexcept {
  for (const int slot : program.feeds[feed].slots) {
    // Kernels only read feeds; the table has one type for all slots.
    addresses[static_cast<std::size_t>(slot)] = const_cast<std::byte*>(data);
  }
}

void Executable::Impl::run_launches(std::vector<Launch>& launches) noexcept {
  std::byte* const scratch = store->scratch();
  if (!profiled()) {
    for (Launch& launch : launches) {
      launch.kernel->run({addresses.data(), scratch + launch.scratch_offset, &errors});
    }
    return;
  }
  for (Launch& launch : launches) {
    const auto begin = std::chrono::steady_clock::now();
    launch.kernel->run({addresses.data(), scratch + launch.scratch_offset, &errors});
    launch.seconds +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
}

void Executable::Impl::copy(const std::vector<SlotCopy>& list) noexcept {
  for (const SlotCopy& c : list) {
    const auto at = [this](int slot) { return addresses[static_cast<std::size_t>(slot)]; };
    if (c.predicate >= 0 && *reinterpret_cast<const std::uint8_t*>(at(c.predicate)) == 0) continue;
    const auto bytes = program.slots[static_cast<std::size_t>(c.to)].bytes();
    if (bytes > 0) std::memmove(at(c.to), at(c.from), static_cast<std::size_t>(bytes));
  }
}

double Executable::Impl::scalar(int slot) const noexcept {
  const auto i = static_cast<std::size_t>(slot);
  return HostView{program.slots[i].value.type(), addresses[i]}.get(0);
}

bool Executable::Impl::scalars_finite() const noexcept {
  for (const BoundFetch& fetch : program.fetches) {
    if (fetch.ring_index < 0) continue;
    const Slot& slot = program.slots[static_cast<std::size_t>(fetch.slot)];
    const int root = program.root_of(fetch.slot);
    const bool written =
        program.slots[static_cast<std::size_t>(root)].first < static_cast<int>(program.main.size());
    if (written && is_float(slot.value.dtype()) && !std::isfinite(scalar(fetch.slot))) return false;
  }
  return true;
}

void Executable::Impl::run_once() {
  errors.reset();
  run_launches(program.main);
  if (errors.set()) throw_data_error(errors.error());
  if (options.check_numerics && !scalars_finite()) throw_numerics_error();
  if (trace_enabled(Channel::numerics)) trace_numerics();
  copy(program.snapshots);
  run_launches(program.commit);
  const std::span<double> values = ring.push(steps);
  for (const BoundFetch& fetch : program.fetches) {
    if (fetch.ring_index >= 0)
      values[static_cast<std::size_t>(fetch.ring_index)] = scalar(fetch.slot);
  }
  copy(program.copies);
  ++steps;
  ran = true;
}

Feed feed_of(std::string_view name, const Tensor& tensor) {
  return {name, tensor.data(), tensor.capacity(), tensor.type(), !tensor.device().host_visible()};
}

Executable::Executable(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Executable::~Executable() = default;
Executable::Executable(Executable&&) noexcept = default;
Executable& Executable::operator=(Executable&&) noexcept = default;

void Executable::run(std::span<const Feed> feeds) { run_steps(1, feeds); }

void Executable::run_steps(int steps, std::span<const Feed> feeds) {
  const ToolRange range(steps == 1 ? "ingot step" : "ingot steps");
  Impl& impl = *impl_;
  if (steps < 1) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("run_steps: number of steps must be at least 1, got {}", steps));
  }
  impl.check_feeds(feeds, steps);
  if (impl.scratch_version != impl.store->scratch_version()) impl.resolve_addresses();
  impl.refresh_copies();
  // What fails on the way leaves copies stale, which costs a conversion at most.
  for (Segment* variable : impl.assigned) ++variable->generation;
  impl.run_steps(steps);
  for (VariableCopy* copy : impl.copies) copy->set_current();
}

void Executable::Impl::run_steps(int count) {
  if (runner != nullptr) {
    runner->run(count, fed);
    steps += count;
    ran = true;
    return;
  }
  for (int step = 0; step < count; ++step) {
    for (std::size_t i = 0; i < fed.size(); ++i) set_feed(i, fed[i].data + fed[i].stride * step);
    run_once();
  }
}

void Executable::Impl::settle() {
  if (runner == nullptr) return;
  const auto failure = runner->wait([this](std::int64_t step, std::span<const double> values) {
    std::ranges::copy(values, ring.push(step).begin());
  });
  if (!failure) return;
  steps = failure->step;
  throw_runner_failure(*failure);
}

void Executable::wait() { impl_->settle(); }

const std::byte* Executable::fetched_data(std::string_view name) const {
  impl_->settle();
  std::vector<std::string> names;
  for (const BoundFetch& fetch : impl_->program.fetches) {
    if (fetch.name == name) {
      if (impl_->ran) {
        return impl_->runner != nullptr ? impl_->runner->address(fetch.slot)
                                        : impl_->addresses[static_cast<std::size_t>(fetch.slot)];
      }
      throw user_error(ErrorCode::invalid_argument,
                       fmt::format("fetch \"{}\": needs a run first, got none", name));
    }
    names.push_back(fetch.name);
  }
  Error error =
      user_error(ErrorCode::not_found,
                 fmt::format("fetch \"{}\": must be fetched by the graph, got no such name", name));
  if (const auto close = closest_names(name, names); !close.empty()) {
    error.help("did you mean " + close + "?");
  }
  throw error;
}

HostTensor Executable::fetched(std::string_view name) const {
  (void)fetched_data(name);
  for (const BoundFetch& fetch : impl_->program.fetches) {
    if (fetch.name == name) return impl_->slot_value(fetch.slot);
  }
  return {};
}

StepRing& Executable::losses() {
  impl_->settle();
  return impl_->ring;
}
const ProgramStats& Executable::stats() const noexcept { return impl_->program.stats; }
std::vector<MemoryOwner> Executable::device_memory(const FeedPlace& feeds) const {
  std::vector<MemoryOwner> owners;
  const Program& program = impl_->program;
  if (program.constant_bytes > 0) owners.push_back({"constants", program.constant_bytes});
  if (impl_->runner == nullptr) return owners;
  std::vector<FeedMemory> fed;
  for (const BoundFeed& feed : program.feeds) {
    fed.push_back({nullptr, feeds.steps > 1 ? feed.type.bytes() : 0, feeds.on_device});
  }
  std::ranges::move(impl_->runner->memory(feeds.steps, fed), std::back_inserter(owners));
  return owners;
}

const Graph& Executable::lowered() const noexcept { return *impl_->program.graph; }
std::int64_t Executable::steps_run() const noexcept { return impl_->steps; }

}  // namespace ingot
