#include "ingot/io/safetensors.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <numeric>

#include "ingot/base/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace ingot::io {
namespace {

using testing_support::error_of;
using testing_support::TempDir;

std::vector<std::byte> file_bytes(std::string_view header, std::size_t data_bytes,
                                  std::int64_t length = -1) {
  if (length < 0) length = static_cast<std::int64_t>(header.size());
  std::vector<std::byte> bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<std::byte>(length >> (8 * i) & 0xff));
  for (const char c : header) bytes.push_back(static_cast<std::byte>(c));
  for (std::size_t i = 0; i < data_bytes; ++i) bytes.push_back(static_cast<std::byte>(i));
  return bytes;
}

std::string refusal(std::string_view header, std::size_t data_bytes = 0) {
  const auto bytes = file_bytes(header, data_bytes);
  return error_of([&] { const SafetensorsFile file(bytes, "m"); });
}

std::string one(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return fmt::format(R"({{"w":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})", dtype, shape,
                     offsets);
}

TEST(Safetensors, WritesTheseBytes) {
  const TempDir dir;
  const std::array<std::uint8_t, 3> bytes = {1, 2, 3};
  const std::array<float, 2> floats = {1.0f, -2.0f};
  const std::vector<SafetensorsTensor> tensors = {
      {"b", {DType::u8, {3}}, std::as_bytes(std::span(bytes))},
      {"layer1.0.w", {DType::f32, {1, 2}}, std::as_bytes(std::span(floats))},
      {"scalar", {DType::u8, {}}, std::as_bytes(std::span(bytes)).first(1)},
      {"none", {DType::f64, {0, 3}}, {}}};
  write_safetensors(dir / "m.safetensors", tensors, {{"format", "pt"}});
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             R"("none":{"dtype":"F64","shape":[0,3],"data_offsets":[0,0]},)"
                             R"("layer1.0.w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
                             R"("b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},)"
                             R"("scalar":{"dtype":"U8","shape":[],"data_offsets":[11,12]}})";
  const std::string text = read_text_file(dir / "m.safetensors");
  const std::size_t padded = (header.size() + 7) / 8 * 8;
  const auto length = static_cast<char>(padded);
  EXPECT_EQ(text.substr(0, 8), std::string({length, 1, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(padded / 256, 1u);
  EXPECT_EQ(text.substr(8, padded), header + std::string(padded - header.size(), ' '));
  EXPECT_EQ(text.substr(8 + padded), std::string("\0\0\x80\x3f\0\0\0\xc0\1\2\3\1", 12));
}

TEST(Safetensors, ReadsBackEveryDType) {
  const TempDir dir;
  std::vector<HostTensor> values;
  std::vector<SafetensorsTensor> tensors;
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    const std::vector<double> content = {0, 1, 1, 0, 1, 0};
    values.emplace_back(TensorType{dtype, {2, 3}}, content);
  }
  for (const HostTensor& value : values) {
    tensors.push_back({std::string(dtype_name(value.type().dtype)), value.type(), value.bytes()});
  }
  write_safetensors(dir / "m", tensors, {{"a", "1"}, {"", "\xc3\xa4"}});
  const SafetensorsFile file(dir / "m");
  EXPECT_EQ(file.metadata(), (SafetensorsMetadata{{"a", "1"}, {"", "\xc3\xa4"}}));
  ASSERT_EQ(file.entries().size(), values.size());
  for (const HostTensor& value : values) {
    const std::string_view name = dtype_name(value.type().dtype);
    EXPECT_EQ(file.tensor(name), value);
    const SafetensorsEntry* entry = file.find(name);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(entry->bytes.data()) % dtype_size(entry->type.dtype),
              0u);
  }
  EXPECT_EQ(file.find("x"), nullptr);
  const SafetensorsFile moved = [&] { return SafetensorsFile(dir / "m"); }();
  EXPECT_EQ(moved.tensor("f16"), values[2]);
}

TEST(Safetensors, EmptyFileOfTensors) {
  const TempDir dir;
  write_safetensors(dir / "m", {});
  EXPECT_EQ(read_text_file(dir / "m"), std::string("\x08\0\0\0\0\0\0\0{}      ", 16));
  EXPECT_TRUE(SafetensorsFile(dir / "m").entries().empty());
}

// The data may come in another order than the header, as the format allows.
TEST(Safetensors, ReadsAnyOrder) {
  const auto bytes = file_bytes(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},)"
                                R"("a":{"data_offsets":[0,1],"shape":[],"dtype":"U8"}}   )",
                                3);
  const SafetensorsFile file(bytes, "m");
  EXPECT_EQ(file.tensor("a").view().get_int(0), 0);
  EXPECT_EQ(file.tensor("b").view().get_int(1), 2);
}

TEST(Safetensors, RefusesBrokenFrames) {
  const auto message = [](const std::vector<std::byte>& bytes) {
    return error_of([&] { const SafetensorsFile file(bytes, "m"); });
  };
  EXPECT_EQ(message({}), "safetensors \"m\": must have at least 8 bytes, got 0");
  EXPECT_EQ(message(file_bytes("{}", 0, 3)),
            "safetensors \"m\": the header of 3 bytes must fit the file, got 2 bytes after its "
            "length");
  EXPECT_EQ(message(file_bytes("{}", 0, 100'000'001)),
            "safetensors \"m\": the header must have at most 100000000 bytes, got 100000001");
  EXPECT_EQ(message(std::vector<std::byte>(8, std::byte{0xff})),
            "safetensors \"m\": the header must have at most 100000000 bytes, got "
            "18446744073709551615");
  EXPECT_EQ(message(file_bytes("", 0)),
            "safetensors \"m\": the header must begin with {, got none");
  EXPECT_EQ(refusal(" {}"), "safetensors \"m\": the header must begin with {, got another byte");
  EXPECT_EQ(refusal("{]"), "json \"m\": must be well-formed JSON, got '{]' at line 1, column 2");
  EXPECT_EQ(refusal(R"({"a":1,"a":2})"),
            "json \"m\": keys of an object must be unique, got \"a\" twice");
  const TempDir dir;
  EXPECT_EQ(error_of([&] { const SafetensorsFile file(dir / "x"); }),
            fmt::format("file \"{}\": must be readable, got no such file or directory",
                        (dir / "x").string()));
}

TEST(Safetensors, RefusesBrokenEntries) {
  EXPECT_EQ(refusal(R"({"w":1})"), "safetensors \"m\": tensor \"w\" must have an object, got 1");
  EXPECT_EQ(
      refusal(R"({"w":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":0}})", 4),
      "safetensors \"m\": tensor \"w\" must have the keys dtype, shape and data_offsets only, "
      "got \"x\"");
  EXPECT_EQ(refusal(R"({"w":{"shape":[],"data_offsets":[0,4]}})", 4),
            "safetensors \"m\": tensor \"w\" must have a dtype that is a string, got none");
  EXPECT_EQ(refusal(one("F8_E4M3", "[4]", "[0,4]"), 4),
            "safetensors \"m\": tensor \"w\" must have dtype F64, F32, F16, BF16, I64, I32, I8, U8 "
            "or BOOL, got \"F8_E4M3\"");
  EXPECT_EQ(refusal(R"({"w":{"dtype":"F32","data_offsets":[0,4]}})", 4),
            "safetensors \"m\": tensor \"w\" must have a shape that is an array, got none");
  EXPECT_EQ(refusal(one("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1),
            "safetensors \"m\": tensor \"w\" must have at most 8 dimensions, got 9");
  EXPECT_EQ(refusal(one("U8", "[-1]", "[0,1]"), 1),
            "safetensors \"m\": tensor \"w\" must have dimensions from 0 to 2^63 - 1, got -1");
  EXPECT_EQ(refusal(one("U8", "[1.0]", "[0,1]"), 1),
            "safetensors \"m\": tensor \"w\" must have dimensions from 0 to 2^63 - 1, got 1.0");
  EXPECT_EQ(refusal(one("U8", "[9223372036854775808]", "[0,1]"), 1),
            "safetensors \"m\": tensor \"w\" must have dimensions from 0 to 2^63 - 1, got "
            "9223372036854775808");
  // 2^62 * 4 * 4 bytes wraps to 0 in 64 bits.
  EXPECT_EQ(refusal(one("F32", "[4611686018427387904,4]", "[0,0]")),
            "safetensors \"m\": tensor \"w\" must have a size below 2^63 bytes, got "
            "f32[4611686018427387904,4]");
  EXPECT_EQ(refusal(one("U8", "[1]", "[0]"), 1),
            "safetensors \"m\": tensor \"w\" must have data_offsets that are an array of 2 values, "
            "got an array of 1 value");
  for (const char* offsets : {"[-1,1]", "[1,0]", "[0,2]", "[0,18446744073709551615]", "[0,1.0]",
                              "[0,1e300]", "[0,null]"}) {
    const std::string spaced =
        std::string(offsets).replace(std::string(offsets).find(','), 1, ", ");
    EXPECT_EQ(refusal(one("U8", "[1]", offsets), 1),
              "safetensors \"m\": tensor \"w\" must have data_offsets with 0 <= begin <= end <= 1, "
              "got " +
                  (spaced == "[0, 1e300]" ? "[0, 1e+300]" : spaced));
  }
  EXPECT_EQ(refusal(one("F32", "[2,1]", "[0,7]"), 8),
            "safetensors \"m\": tensor \"w\" of f32[2,1] needs 8 bytes, got data_offsets [0, 7]");
  EXPECT_EQ(refusal(R"({"__metadata__":[]})"),
            "safetensors \"m\": __metadata__ must be an object, got an array of 0 values");
  EXPECT_EQ(refusal(R"({"__metadata__":{"epoch":1}})"),
            "safetensors \"m\": __metadata__ \"epoch\" must be a string, got 1");
}

TEST(Safetensors, RefusesHolesAndOverlaps) {
  const auto two = [](std::string_view first, std::string_view second) {
    return fmt::format(R"({{"a":{{"dtype":"U8","shape":[2],"data_offsets":{}}},)"
                       R"("b":{{"dtype":"U8","shape":[2],"data_offsets":{}}}}})",
                       first, second);
  };
  EXPECT_EQ(refusal(two("[0,2]", "[2,4]"), 4), "no error");
  EXPECT_EQ(refusal(two("[0,2]", "[1,3]"), 3),
            "safetensors \"m\": tensor \"b\" must begin at 2 to leave no overlap, got 1");
  EXPECT_EQ(refusal(two("[0,2]", "[3,5]"), 5),
            "safetensors \"m\": tensor \"b\" must begin at 2 to leave no hole, got 3");
  EXPECT_EQ(refusal(two("[3,5]", "[1,3]"), 5),
            "safetensors \"m\": tensor \"b\" must begin at 0 to leave no hole, got 1");
  EXPECT_EQ(refusal(two("[0,2]", "[2,4]"), 5),
            "safetensors \"m\": the tensors must fill the data of 5 bytes, got 4");
  EXPECT_EQ(refusal("{}", 1),
            "safetensors \"m\": the tensors must fill the data of 1 bytes, got 0");
}

TEST(Safetensors, ErrorsOfReadingATensor) {
  const auto bytes =
      file_bytes(R"({"fc.weight":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})", 3);
  const SafetensorsFile file(bytes, "m");
  EXPECT_EQ(error_of([&] { (void)file.tensor("fc.weigth"); }),
            "safetensors \"m\": must hold tensor \"fc.weigth\", got 1 others\n"
            "help: did you mean \"fc.weight\"?");
  EXPECT_EQ(error_of([&] { (void)file.tensor("fc.weight"); }),
            "safetensors \"m\": tensor \"fc.weight\" must hold booleans 0 or 1, got 2");
}

TEST(Safetensors, RefusesToWriteNonsense) {
  const TempDir dir;
  const std::array<std::byte, 4> four{};
  const std::string path = (dir / "m").string();
  const auto message = [&](std::vector<SafetensorsTensor> tensors,
                           const SafetensorsMetadata& metadata = {}) {
    return error_of([&] { write_safetensors(path, tensors, metadata); });
  };
  const TensorType type{DType::f32, {1}};
  const std::string prefix = "safetensors \"" + path + "\": ";
  EXPECT_EQ(message({{"a", type, four}, {"a", type, four}}),
            prefix + "names must be unique, got \"a\" twice");
  EXPECT_EQ(message({{"__metadata__", type, four}}),
            prefix + "no tensor may be called __metadata__, got one");
  EXPECT_EQ(message({{"a", {DType::f32, {2}}, four}}),
            prefix + "tensor \"a\" of f32[2] needs 8 bytes, got 4");
  EXPECT_EQ(message({}, {{"k", "1"}, {"k", "2"}}),
            prefix + "metadata keys must be unique, got \"k\" twice");
  EXPECT_EQ(message({{"\xff", type, four}}), "json: strings must be UTF-8, got other bytes");
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace ingot::io
