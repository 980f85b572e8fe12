// Ingot and the Python package `safetensors` read each other's files.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "ingot/io/safetensors.h"
#include "tests/io/support/python.h"
#include "tests/support/source_dir.h"
#include "tests/support/temp_dir.h"

namespace ingot::io {
namespace {

using testing_support::TempDir;

struct Named {
  std::string name;
  HostTensor value;
};

// The tensors that the script calls expected().
std::vector<Named> expected() {
  std::vector<Named> tensors;
  std::vector<double> values;
  for (int i = 0; i < 24; ++i) values.push_back(i % 7);
  const std::pair<const char*, DType> dtypes[] = {
      {"float64", DType::f64}, {"float32", DType::f32}, {"float16", DType::f16},
      {"int64", DType::i64},   {"int32", DType::i32},   {"int8", DType::i8},
      {"uint8", DType::u8},    {"bool", DType::boolean}};
  for (const auto& [name, dtype] : dtypes) {
    tensors.push_back({name, HostTensor({dtype, {2, 3, 4}}, values)});
  }
  const double scalar = 2.5;
  tensors.push_back({"scalar", HostTensor({DType::f32, {}}, {&scalar, 1})});
  tensors.push_back({"empty", HostTensor({DType::f32, {0, 3}})});
  return tensors;
}

class SafetensorsPython : public testing::Test {
 protected:
  void SetUp() override {
    if (python_.empty()) {
      GTEST_SKIP() << "no python3 has the package safetensors; scripts/setup.sh test gets it";
    }
  }
  [[nodiscard]] int run(const std::string& arguments) const {
    const auto script = testing_support::source_dir() / "tests/io/safetensors_python_test.py";
    return std::system(fmt::format("'{}' '{}' {}", python_, script.string(), arguments).c_str());
  }
  const std::string python_ = testing_support::safetensors_python();
  const TempDir dir_;
};

TEST_F(SafetensorsPython, ReadsOurs) {
  std::vector<Named> tensors = expected();
  tensors.push_back({"bfloat16", HostTensor({DType::bf16, {2}})});
  std::vector<SafetensorsTensor> views;
  for (const Named& tensor : tensors) {
    views.push_back({tensor.name, tensor.value.type(), tensor.value.bytes()});
  }
  write_safetensors(dir_ / "m", views, {{"epoch", "3"}, {"name", "\xc3\xa4"}});
  EXPECT_EQ(run(fmt::format("read '{}'", (dir_ / "m").string())), 0);
}

TEST_F(SafetensorsPython, WritesWhatWeRead) {
  ASSERT_EQ(run(fmt::format("write '{}'", (dir_ / "m").string())), 0);
  const SafetensorsFile file(dir_ / "m");
  EXPECT_EQ(file.metadata(), (SafetensorsMetadata{{"epoch", "3"}}));
  EXPECT_EQ(file.entries().size(), expected().size());
  for (const Named& tensor : expected()) {
    EXPECT_EQ(file.tensor(tensor.name), tensor.value) << tensor.name;
  }
}

}  // namespace
}  // namespace ingot::io
