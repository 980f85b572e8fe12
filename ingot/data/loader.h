// Shuffled, normalised, prefetched batches of a Dataset.
#pragma once

#include <cstdint>
#include <memory>

#include "ingot/base/host_view.h"
#include "ingot/data/augment.h"
#include "ingot/data/dataset.h"

namespace ingot::data {

struct LoaderOptions {
  std::int64_t batch_size = 32;
  bool shuffle = true;     ///< a new permutation each epoch, a function of (seed, epoch)
  bool drop_last = false;  ///< leave out a last batch smaller than batch_size
  std::uint64_t seed = 0;
  int workers = 1;   ///< threads that prepare batches; 0 prepares them in next()
  int prefetch = 3;  ///< batches prepared ahead
  int hold = 1;      ///< how many of the batches handed out last stay valid
  Normalization normalization;
  Augment augment;  ///< none when empty
};

/// Which batch comes next.
struct LoaderPosition {
  std::int64_t epoch = 0;
  std::int64_t batch = 0;  ///< within the epoch
  friend bool operator==(const LoaderPosition&, const LoaderPosition&) = default;
};

/// A batch inside one of the Loader's slots.
struct Batch {
  HostView images;  ///< f32 [n,C,H,W], 64-byte aligned
  HostView labels;  ///< i32 [n], 64-byte aligned
  LoaderPosition position;
  bool last = false;  ///< of its epoch
  int slot = 0;       ///< see Loader::slot

  [[nodiscard]] std::int64_t size() const noexcept { return labels.numel(); }
};

/// An endless stream of batches, epoch after epoch. Batch k of epoch e is a function of the data
/// set and the options except workers, prefetch and hold. Batches lie in a ring of prefetch + hold
/// slots made at construction; after that nothing is allocated. Use from one thread at a time.
class Loader {
 public:
  /// Error (invalid_argument) `loader "mnist train": <rule>, got ...` for impossible options;
  /// those of check_dataset. Threads start at the first next().
  Loader(std::shared_ptr<const Dataset> dataset, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next batch; waits until a worker has finished it. Valid until `hold` further calls. An
  /// exception of the augmentation comes out here, at the batch it belongs to, again at each call
  /// until seek().
  Batch next();

  /// Where next() is; what a checkpoint stores.
  [[nodiscard]] LoaderPosition position() const noexcept;
  /// Continue at `position`, as if all batches before had been read. Batches handed out before are
  /// no longer valid. Error (invalid_argument) for a batch that the epoch lacks.
  void seek(LoaderPosition position);

  [[nodiscard]] const Dataset& dataset() const noexcept;
  [[nodiscard]] const LoaderOptions& options() const noexcept;
  [[nodiscard]] std::int64_t batches_per_epoch() const noexcept;
  /// Samples of batch k of every epoch; smaller than batch_size for a ragged last one only.
  [[nodiscard]] std::int64_t size_of_batch(std::int64_t batch) const noexcept;
  /// prefetch + hold, and where the full batches in them lie; fixed for the Loader's life, so that
  /// feeds can be bound once.
  [[nodiscard]] int slot_count() const noexcept;
  [[nodiscard]] Batch slot(int index) const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ingot::data
