#include "ingot/memory/buffer_pool.h"

#include <fmt/core.h>

#include "ingot/memory/pool_core.h"

namespace ingot {

BufferPool::BufferPool(std::shared_ptr<Device> device, PoolOptions options)
    : core_(std::make_shared<detail::PoolCore>(std::move(device), std::move(options))) {}

BufferPool::~BufferPool() {
  core_->close();
  const std::string leaks = leak_report();
  if (!leaks.empty()) core_->report(leaks);
}

const std::shared_ptr<Device>& BufferPool::device() const noexcept { return core_->device(); }

PoolStats BufferPool::stats() const { return core_->stats(); }

std::string BufferPool::leak_report() const {
  const detail::PoolCore::Live live = core_->live();
  if (live.count == 0) return "";
  return fmt::format("pool of device \"{}\": {} {} live: {}", device()->name(), live.summary,
                     live.count == 1 ? "is" : "are", live.names);
}

void BufferPool::collect() noexcept { core_->collect(); }

void BufferPool::trim() noexcept { core_->trim(); }

}  // namespace ingot
