#include "apps/ingot/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <string>

namespace ingot::cli {
namespace {

std::string clock_text(double seconds) {
  const auto whole = static_cast<long long>(std::ceil(seconds));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

ProgressDisplay::ProgressDisplay() : terminal_(::isatty(STDERR_FILENO) != 0) {}

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
  const auto filled = static_cast<std::size_t>(kWidth * p.batch / p.batches);
  const std::string bar = std::string(filled, '#') + std::string(kWidth - filled, '-');
  fmt::print(stderr, "\r\x1b[K[{}] {}", bar, facts);
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
