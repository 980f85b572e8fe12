// Progress of a training run on stderr.
#pragma once

#include "ingot/train/trainer.h"

namespace ingot::cli {

/// A bar on a terminal, else a line an interval.
class ProgressDisplay {
 public:
  ProgressDisplay();
  [[nodiscard]] double interval_seconds() const noexcept { return terminal_ ? 0.1 : 5.0; }
  void show(const train::Progress& progress);
  /// Removes the bar, so that other text can follow.
  void clear();

 private:
  bool terminal_;
  bool shown_ = false;
};

}  // namespace ingot::cli
