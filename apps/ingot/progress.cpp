#include "apps/ingot/progress.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace ingot::cli {
namespace {

std::string clock_text(double seconds) {
  const auto whole = static_cast<long long>(std::ceil(seconds));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

/// A terminal that knows how to erase a line.
bool can_redraw() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) != 0 && (term == nullptr || std::string_view(term) != "dumb");
}

/// Columns of the terminal; a line that wraps could not be erased.
std::size_t columns() {
  struct winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace

ProgressDisplay::ProgressDisplay() : terminal_(can_redraw()) {}

void ProgressDisplay::show(const train::Progress& p) {
  const std::string facts =
      fmt::format("epoch {}/{}  {}/{}  {:.1f} steps/s  loss {:.4f}  accuracy {:.2f} %  {} left",
                  p.epoch, p.epochs, p.batch, p.batches, p.steps_per_second, p.train.loss,
                  100 * p.train.accuracy, clock_text(p.seconds_left));
  if (!terminal_) {
    fmt::print(stderr, "{}\n", facts);
    return;
  }
  constexpr std::int64_t kWidth = 20;
  const auto filled = static_cast<int>(kWidth * p.batch / p.batches);
  const std::string bar = fmt::format("[{:#<{}}{:-<{}}] ", "", filled, "", kWidth - filled);
  const std::size_t room = columns() - 1;
  const std::string line = bar.size() + facts.size() <= room ? bar + facts : facts.substr(0, room);
  fmt::print(stderr, "\r\x1b[K{}", line);
  std::fflush(stderr);
  shown_ = true;
}

void ProgressDisplay::clear() {
  if (!shown_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace ingot::cli
