#include "ingot/io/json.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "ingot/base/error.h"
#include "tests/support/expect_error.h"

namespace ingot::io {
namespace {

using testing_support::error_of;

TEST(Json, BuildsAndDumps) {
  Json report = Json::object({{"event", "done"}, {"steps", 12}, {"loss", 0.25}, {"ok", true}});
  report.set("classes", Json::array().push_back("a").push_back(nullptr));
  report.set("steps", 13);
  EXPECT_EQ(report.dump(),
            R"({"event":"done","steps":13,"loss":0.25,"ok":true,"classes":["a",null]})");
  EXPECT_EQ(Json::object({{"a", Json::array()}, {"b", 1}}).dump_pretty(),
            "{\n  \"a\": [],\n  \"b\": 1\n}\n");
  EXPECT_EQ(Json().dump(), "null");
  EXPECT_EQ(Json(1.0).dump(), "1.0");
  EXPECT_EQ(Json("a\"\\\n\x01").dump(), R"("a\"\\\n\u0001")");
  Json from_null;
  from_null.set("a", 1);
  EXPECT_EQ(from_null.dump(), R"({"a":1})");
  Json list;
  list.push_back(1);
  EXPECT_EQ(list.dump(), "[1]");
}

TEST(Json, ParsesBackWhatItWrote) {
  const Json value = Json::object({{"z", Json::array().push_back(1).push_back(-2.5)},
                                   {"a", Json::object({{"", "\xc3\xa4\xf0\x9f\x8e\x89"}})},
                                   {"n", nullptr},
                                   {"t", true}});
  EXPECT_EQ(Json::parse(value.dump(), "x"), value);
  EXPECT_EQ(Json::parse(value.dump_pretty(), "x"), value);
}

TEST(Json, IntegersRoundTripExactly) {
  for (const std::int64_t value : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1},
                                   std::int64_t{0}, std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(Json::parse(Json(value).dump(), "x").as_i64(), value);
  }
  const auto big = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(Json(big).dump(), "18446744073709551615");
  EXPECT_EQ(Json::parse(Json(big).dump(), "x").as_u64(), big);
  EXPECT_EQ(Json(std::uint64_t{7}), Json(7));
  EXPECT_EQ(Json::parse("7", "x").as_u64(), 7u);
}

TEST(Json, DoublesRoundTripBitForBit) {
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const auto value = std::bit_cast<double>(i * 0x9e3779b97f4a7c15u);
    if (!std::isfinite(value)) continue;
    const double back = Json::parse(Json(value).dump(), "x").as_double();
    EXPECT_EQ(std::bit_cast<std::uint64_t>(back), std::bit_cast<std::uint64_t>(value));
  }
  for (const double value : {-0.0, 0.1, 5e-324, 1.7976931348623157e308, 1e15, 1e17}) {
    const Json back = Json::parse(Json(value).dump(), "x");
    EXPECT_FALSE(back.is_integer());
    EXPECT_EQ(std::bit_cast<std::uint64_t>(back.as_double()), std::bit_cast<std::uint64_t>(value));
  }
  EXPECT_EQ(Json(std::nan("")).dump(), "null");
  EXPECT_EQ(Json(HUGE_VAL).dump(), "null");
}

TEST(Json, TypeErrorsNameTheKey) {
  const Json value = Json::object({{"epoch", "two"}, {"step", -1}, {"big", 1.5}, {"list", 3}});
  const auto message = [&](auto call) { return error_of([&] { (void)call(); }); };
  EXPECT_EQ(message([&] { return value.i64_at("epoch"); }),
            "json \"epoch\": must be an integer of 64 bits, got \"two\"");
  EXPECT_EQ(message([&] { return value.u64_at("step"); }),
            "json \"step\": must be a non-negative integer of 64 bits, got -1");
  EXPECT_EQ(message([&] { return value.i64_at("big"); }),
            "json \"big\": must be an integer of 64 bits, got 1.5");
  EXPECT_EQ(message([&] { return value.array_at("list"); }),
            "json \"list\": must be an array, got 3");
  EXPECT_EQ(message([&] { return value.object_at("list"); }),
            "json \"list\": must be an object, got 3");
  EXPECT_EQ(message([&] { return value.bool_at("list"); }),
            "json \"list\": must be true or false, got 3");
  EXPECT_EQ(message([&] { return value.string_at("list"); }),
            "json \"list\": must be a string, got 3");
  EXPECT_EQ(message([&] { return value.double_at("epoch"); }),
            "json \"epoch\": must be a number, got \"two\"");
  EXPECT_EQ(message([&] { return value.at("seed"); }),
            "json: must have key \"seed\", got an object of 4 keys");
  EXPECT_EQ(message([&] { return Json::array().push_back(1).as_bool(); }),
            "json: must be true or false, got an array of 1 value");
  EXPECT_EQ(message([&] { return Json(std::string(50, 'x')).as_i64(); }),
            "json: must be an integer of 64 bits, got a string of 50 bytes");
  EXPECT_EQ(message([&] { return Json(3).set("a", 1); }), "json: set needs an object, got 3");
  EXPECT_EQ(message([&] { return Json(3).push_back(1); }), "json: push_back needs an array, got 3");
  EXPECT_EQ(message([&] { return Json("\xff").dump(); }),
            "json: strings must be UTF-8, got other bytes");
  EXPECT_EQ(value.double_at("step"), -1.0);
  EXPECT_EQ(value.find("nothing"), nullptr);
}

TEST(Json, SyntaxErrorsSayWhere) {
  const auto message = [](std::string_view text) {
    return error_of([&] { (void)Json::parse(text, "run.json"); });
  };
  EXPECT_EQ(message(""),
            "json \"run.json\": must be well-formed JSON, got the end of the text at line 1, "
            "column 1");
  EXPECT_EQ(message("{\"a\":\n  [1, }"),
            "json \"run.json\": must be well-formed JSON, got '1, }' at line 2, column 7");
  EXPECT_EQ(message("{\"a\": 1"),
            "json \"run.json\": must be well-formed JSON, got the end of the text at line 1, "
            "column 8");
  EXPECT_EQ(message("{} {}"),
            "json \"run.json\": must be well-formed JSON, got '{} {' at line 1, column 4");
  EXPECT_EQ(message(std::string_view("{}\0x", 4)),
            "json \"run.json\": must be well-formed JSON, got '\\x00' at line 1, column 3");
  EXPECT_EQ(message("\"\xff\""),
            "json \"run.json\": must be well-formed JSON, got '\"\\xff' at line 1, column 2");
  EXPECT_EQ(message("[1e999]"),
            "json \"run.json\": numbers must fit a double, got '1e999' at line 1, column 6");
  EXPECT_EQ(message(R"({"a":{"b":1,"c":2,"b":3}})"),
            "json \"run.json\": keys of an object must be unique, got \"b\" twice");
  EXPECT_EQ(message(std::string(201, '[')),
            "json \"run.json\": must nest at most 200 levels, got more");
  EXPECT_NO_THROW((void)Json::parse(std::string(200, '[') + std::string(200, ']'), "x"));
}

}  // namespace
}  // namespace ingot::io
