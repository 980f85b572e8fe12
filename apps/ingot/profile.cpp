#include "apps/ingot/profile.h"

#include "ingot/io/file.h"
#include "ingot/io/json.h"

namespace ingot::cli {

void write_profile(const std::string& file, const std::vector<KernelTime>& times) {
  io::Json events = io::Json::array();
  double at = 0;
  for (const KernelTime& time : times) {
    const double microseconds = 1e6 * time.seconds;
    events.push_back(
        io::Json::object({{"name", time.what},
                          {"ph", "X"},
                          {"ts", at},
                          {"dur", microseconds},
                          {"pid", std::int64_t{0}},
                          {"tid", std::int64_t{time.lane}},
                          {"args", io::Json::object({{"flops", time.flops},
                                                     {"bytes", time.bytes},
                                                     {"floor_us", 1e6 * time.floor_seconds}})}}));
    at += microseconds;
  }
  io::write_file_atomically(file, io::Json::object({{"traceEvents", events}}).dump() + "\n");
}

}  // namespace ingot::cli
