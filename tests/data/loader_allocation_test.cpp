// Replaces this binary's operator new to count allocations on all threads.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "ingot/data/loader.h"
#include "tests/data/support/tiny_dataset.h"

namespace {
std::atomic<std::int64_t> allocations{0};
}  // namespace

void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* data = std::malloc(size == 0 ? 1 : size)) return data;
  throw std::bad_alloc();
}
void operator delete(void* data) noexcept { std::free(data); }
void operator delete(void* data, std::size_t) noexcept { std::free(data); }

namespace ingot::data {
namespace {

TEST(Loader, AllocatesNothingAfterWarmUp) {
  for (const int workers : {0, 1, 2}) {
    LoaderOptions options;
    options.batch_size = 8;
    options.workers = workers;
    options.augment = random_crop_flip(1, true);
    Loader loader(std::make_shared<const Dataset>(tiny_dataset(50, {3, 8, 8}, 2)), options);
    for (int i = 0; i < 20; ++i) loader.next();
    const std::int64_t before = allocations.load();
    for (int i = 0; i < 1000; ++i) loader.next();
    EXPECT_EQ(allocations.load() - before, 0) << workers << " workers";
  }
}

}  // namespace
}  // namespace ingot::data
