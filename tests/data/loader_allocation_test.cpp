#include <gtest/gtest.h>

#include "ingot/data/loader.h"
#include "tests/data/support/tiny_dataset.h"
#include "tests/support/count_new.h"

namespace ingot::data {
namespace {

TEST(Loader, AllocatesNothingAfterWarmUp) {
  if (testing_support::kSanitized) GTEST_SKIP() << "a sanitizer owns operator new";
  for (const int workers : {0, 1, 2}) {
    LoaderOptions options;
    options.batch_size = 8;
    options.workers = workers;
    options.augment = random_crop_flip(1, true);
    Loader loader(std::make_shared<const Dataset>(tiny_dataset(50, {3, 8, 8}, 2)), options);
    for (int i = 0; i < 20; ++i) loader.next();
    const std::uint64_t before = testing_support::count_new();
    for (int i = 0; i < 1000; ++i) loader.next();
    EXPECT_EQ(testing_support::count_new(), before) << workers << " workers";
  }
}

}  // namespace
}  // namespace ingot::data
