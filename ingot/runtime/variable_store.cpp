#include "ingot/runtime/variable_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "ingot/base/error.h"
#include "ingot/base/thread_pool.h"
#include "ingot/runtime/convert_layout.h"
#include "ingot/runtime/initial_value.h"

namespace ingot {
namespace {

// Elements above which threads are started to make them.
constexpr std::int64_t kManyElements = std::int64_t{1} << 18;

bool is_zero(const Initializer& init) {
  return init.kind == Initializer::Kind::constant && init.a == 0;
}

std::int64_t aligned(std::int64_t bytes, std::int64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

HostTensor initial_value(const TensorType& type, const Initializer& init, std::string_view name,
                         std::uint64_t seed) {
  HostTensor tensor(type);
  if (!is_zero(init)) write_initial_value(tensor.view(), init, name, seed);
  return tensor;
}

VariableStore::VariableStore(std::shared_ptr<Backend> backend, std::uint64_t seed)
    : backend_(std::move(backend)), device_(backend_->device()), seed_(seed) {}

VariableStore::~VariableStore() = default;

void VariableStore::bind_external(std::string name, void* data, std::size_t bytes) {
  if (contains(name) || pending_externals_.contains(name)) {
    throw user_error(
        ErrorCode::invalid_feed,
        fmt::format("variable \"{}\": must be bound before it is first compiled, got a "
                    "variable that is in the store already",
                    name));
  }
  pending_externals_.emplace(std::move(name), External{data, bytes});
}

std::map<std::string, Layout> VariableStore::fixed_layouts() const {
  std::map<std::string, Layout> layouts;
  for (const auto& segment : segments_) layouts.emplace(segment->name, segment->layout);
  for (const auto& entry : pending_externals_) layouts.emplace(entry.first, Layout{});
  return layouts;
}

void VariableStore::prepare(const std::vector<VariableRequest>& requests) {
  constexpr int kRoles = kVariableRoleCount;
  const auto alignment = static_cast<std::int64_t>(device_->alignment());
  std::array<std::vector<std::pair<const VariableRequest*, std::int64_t>>, kRoles> fresh;
  std::array<std::int64_t, kRoles> totals{};
  std::vector<std::pair<const VariableRequest*, External>> externals;
  std::int64_t made = 0;
  for (const VariableRequest& request : requests) {
    if (contains(request.name)) {
      const Segment& known = segment(request.name);
      if (known.type != request.type) {
        throw user_error(
            ErrorCode::invalid_shape,
            fmt::format("variable \"{}\": must keep its type, got {} after {}", request.name,
                        request.type.to_string(), known.type.to_string()));
      }
      if (known.layout != request.layout) {
        throw internal_error(
            fmt::format("variable \"{}\": layout {} does not honour the store's {}", request.name,
                        request.layout.to_string(known.type.shape.rank()),
                        known.layout.to_string(known.type.shape.rank())));
      }
      continue;
    }
    const std::int64_t bytes = request.layout.physical_bytes(request.type);
    if (const auto it = pending_externals_.find(request.name); it != pending_externals_.end()) {
      if (static_cast<std::int64_t>(it->second.bytes) < bytes) {
        throw user_error(
            ErrorCode::invalid_feed,
            fmt::format("variable \"{}\": {} needs {} bytes, got a buffer of {}", request.name,
                        request.type.to_string(), bytes, it->second.bytes));
      }
      if (it->second.data == nullptr) {
        throw user_error(ErrorCode::invalid_feed,
                         fmt::format("variable \"{}\": {} needs memory, got a null pointer",
                                     request.name, request.type.to_string()));
      }
      externals.emplace_back(&request, it->second);
      continue;
    }
    const auto role = static_cast<std::size_t>(request.role);
    fresh[role].emplace_back(&request, totals[role]);
    totals[role] += aligned(bytes, alignment);
    if (!is_zero(request.init)) made += request.type.numel();
  }
  std::optional<ThreadPool> threads;
  if (made > kManyElements) threads.emplace(default_thread_count());
  const auto add = [this](const VariableRequest& request, std::byte* data, bool external) {
    auto segment = std::make_unique<Segment>(
        Segment{request.name, request.type, request.layout, request.role, data,
                request.layout.physical_bytes(request.type), external});
    by_name_.emplace(segment->name, segment.get());
    segments_.push_back(std::move(segment));
  };
  for (std::size_t role = 0; role < kRoles; ++role) {
    if (fresh[role].empty()) continue;
    auto* const base = add_arena(totals[role], variable_role_name(static_cast<VariableRole>(role)));
    for (const auto& [request, offset] : fresh[role]) {
      add(*request, base + offset, false);
      initialise(*segments_.back(), request->init, threads ? &*threads : nullptr);
    }
  }
  for (const auto& [request, external] : externals) {
    add(*request, static_cast<std::byte*>(external.data), true);
    pending_externals_.erase(request->name);
  }
}

std::byte* VariableStore::add_arena(std::int64_t bytes, std::string_view owner) {
  // A zero-element variable still needs a distinct, valid address.
  bytes = std::max(bytes, static_cast<std::int64_t>(device_->alignment()));
  arenas_.push_back(Buffer::allocate(device_, static_cast<std::size_t>(bytes), owner));
  arena_bytes_ += bytes;
  const auto known = std::ranges::find(arena_owners_, owner, &MemoryOwner::name);
  if (known != arena_owners_.end()) {
    known->bytes += bytes;
  } else {
    arena_owners_.push_back({std::string(owner), bytes});
  }
  return static_cast<std::byte*>(arenas_.back().data());
}

std::set<std::string, std::less<>> VariableStore::external_variables() const {
  std::set<std::string, std::less<>> names;
  for (const auto& entry : pending_externals_) names.insert(entry.first);
  for (const auto& segment : segments_) {
    if (segment->external) names.insert(segment->name);
  }
  return names;
}

std::vector<VariableCopy*> VariableStore::prepare_copies(std::span<const CopyRequest> requests) {
  std::vector<VariableCopy*> result;
  std::vector<std::pair<VariableCopy*, std::int64_t>> fresh;
  std::int64_t total = 0;
  for (const CopyRequest& request : requests) {
    const Segment& of = segment(request.variable);
    if (of.external) {
      throw internal_error(
          fmt::format("variable \"{}\": a copy cannot follow memory of the caller's", of.name));
    }
    const auto known = std::ranges::find_if(
        copies_, [&](const auto& copy) { return copy->of == &of && copy->dtype == request.dtype; });
    if (known != copies_.end()) {
      result.push_back(known->get());
      continue;
    }
    const std::int64_t bytes = of.layout.physical_bytes({request.dtype, of.type.shape});
    copies_.push_back(
        std::make_unique<VariableCopy>(VariableCopy{&of, request.dtype, nullptr, bytes}));
    result.push_back(copies_.back().get());
    fresh.emplace_back(result.back(), total);
    total += aligned(bytes, static_cast<std::int64_t>(device_->alignment()));
  }
  if (fresh.empty()) return result;
  std::byte* const base = add_arena(total, "weight copies");
  for (const auto& [copy, offset] : fresh) copy->data = base + offset;
  return result;
}

void VariableStore::initialise(const Segment& segment, const Initializer& init,
                               ThreadPool* threads) {
  const auto bytes = static_cast<std::size_t>(segment.bytes);
  if (segment.name != "rng.seed" && is_zero(init)) {
    return device_->fill(segment.data, std::byte{0}, bytes);
  }
  HostTensor value(segment.type);
  if (segment.name == "rng.seed") {
    value.view().set_int(0, static_cast<std::int64_t>(seed_));
  } else {
    write_initial_value(value.view(), init, segment.name, seed_, threads);
  }
  write(segment.name, value);
}

bool VariableStore::contains(std::string_view name) const { return by_name_.contains(name); }

const Segment& VariableStore::segment(std::string_view name) const {
  const auto it = by_name_.find(name);
  if (it != by_name_.end()) return *it->second;
  std::vector<std::string> names;
  for (const auto& known : segments_) names.push_back(known->name);
  Error error =
      user_error(ErrorCode::not_found,
                 fmt::format("variable \"{}\": must be in the store, got no such name", name));
  if (const auto close = closest_names(name, names); !close.empty()) {
    error.help("did you mean " + close + "?");
  }
  throw error;
}

std::vector<const Segment*> VariableStore::segments() const {
  std::vector<const Segment*> result;
  for (const auto& segment : segments_) result.push_back(segment.get());
  return result;
}

HostTensor VariableStore::read(std::string_view name) const {
  const Segment& s = segment(name);
  std::vector<std::byte> physical(static_cast<std::size_t>(s.bytes));
  device_->copy_to_host(physical.data(), s.data, physical.size());
  HostTensor value(s.type);
  to_logical(physical.data(), s.layout, value.view());
  return value;
}

void VariableStore::write(std::string_view name, const HostTensor& value) {
  Segment& s = segment(name);
  if (value.type() != s.type) {
    throw user_error(ErrorCode::invalid_shape,
                     fmt::format("variable \"{}\": must be written with {}, got {}", name,
                                 s.type.to_string(), value.type().to_string()));
  }
  ++s.generation;
  if (s.layout.is_plain()) {
    device_->copy_to_device(s.data, value.view().data, static_cast<std::size_t>(s.bytes));
    return;
  }
  std::vector<std::byte> physical(static_cast<std::size_t>(s.bytes));
  to_physical(value.view(), s.layout, physical.data());
  device_->copy_to_device(s.data, physical.data(), physical.size());
}

std::vector<MemoryOwner> VariableStore::device_memory() const {
  std::vector<MemoryOwner> owners = arena_owners_;
  if (!scratch_.empty()) owners.push_back({"scratch arena", scratch_bytes()});
  return owners;
}

void VariableStore::reserve_scratch(std::int64_t bytes) {
  if (bytes <= scratch_bytes()) return;
  scratch_.reset();
  scratch_ = Buffer::allocate(device_, static_cast<std::size_t>(bytes), "scratch arena");
  ++scratch_version_;
}

}  // namespace ingot
