#include "apps/ingot/output.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "ingot/base/error.h"

namespace ingot::cli {

void print_line(std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
  check_output();
}

void check_output() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  // What printf's own flush met has left no errno.
  throw file_error("<stdout>", "writable", errno != 0 ? errno : EIO);
}

}  // namespace ingot::cli
