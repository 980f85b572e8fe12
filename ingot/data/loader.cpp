#include "ingot/data/loader.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <numeric>
#include <thread>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/data/fill_batch.h"
#include "ingot/data/random_order.h"

namespace ingot::data {
namespace {

constexpr std::size_t kAlignment = 64;

template <typename T>
class AlignedArray {
 public:
  explicit AlignedArray(std::size_t size)
      : data_(static_cast<T*>(::operator new(size * sizeof(T), std::align_val_t{kAlignment}))),
        size_(size) {}
  [[nodiscard]] std::span<T> span() const noexcept { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(T* data) const noexcept {
      ::operator delete(data, std::align_val_t{kAlignment});
    }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t size_;
};

struct Slot {
  Slot(std::size_t images, std::size_t labels) : images(images), labels(labels), indices(labels) {}
  AlignedArray<float> images;
  AlignedArray<std::int32_t> labels;
  std::vector<std::int64_t> indices;  // the samples of the batch
  bool ready = false;
  std::exception_ptr error;
};

void check_range(const Dataset& dataset, std::string_view what, std::int64_t value,
                 std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return;
  throw user_error(ErrorCode::invalid_argument,
                   fmt::format("loader \"{} {}\": {} must be from {} to {}, got {}", dataset.name,
                               split_name(dataset.split), what, low, high, value));
}

void check_normalization(const Dataset& dataset, const Normalization& normalization) {
  if (normalization == Normalization{}) return;
  const auto channels = static_cast<std::size_t>(dataset.image_shape()[0]);
  const auto refuse = [&](const std::string& text) {
    return user_error(ErrorCode::invalid_argument, fmt::format("loader \"{} {}\": {}", dataset.name,
                                                               split_name(dataset.split), text));
  };
  if (normalization.mean.size() != channels || normalization.stddev.size() != channels) {
    throw refuse(
        fmt::format("normalization must have a mean and a stddev for each of {} channels, "
                    "got {} and {}",
                    channels, normalization.mean.size(), normalization.stddev.size()));
  }
  for (std::size_t i = 0; i < channels; ++i) {
    if (!std::isfinite(normalization.mean[i]) || !std::isfinite(normalization.stddev[i]) ||
        normalization.stddev[i] <= 0.0f) {
      throw refuse(
          fmt::format("normalization must be finite with a positive stddev, got mean {} "
                      "and stddev {}",
                      normalization.mean[i], normalization.stddev[i]));
    }
  }
}

}  // namespace

// A batch's ticket is epoch * batches_per_epoch + batch; ticket t lies in slot t % slots. Workers
// take tickets in order, which is all that order needs: a batch is a function of its ticket.
struct Loader::State {
  State(std::shared_ptr<const Dataset> source, LoaderOptions given)
      : dataset(checked(std::move(source))),
        options(std::move(given)),
        image_shape(dataset->image_shape()),
        filler(*dataset, options.normalization, options.augment, options.seed) {
    check_range(*dataset, "batch size", options.batch_size, 1,
                options.drop_last ? dataset->size() : std::int64_t{1} << 31);
    check_range(*dataset, "workers", options.workers, 0, 256);
    check_range(*dataset, "prefetch", options.prefetch, 1, 1024);
    check_range(*dataset, "hold", options.hold, 1, 1024);
    check_normalization(*dataset, options.normalization);
    // A batch size above the data set's makes one ragged batch an epoch.
    batch_size = std::min(options.batch_size, dataset->size());
    batches = options.drop_last ? dataset->size() / batch_size
                                : (dataset->size() + batch_size - 1) / batch_size;
    const auto image = static_cast<std::size_t>(image_shape.numel());
    for (int i = 0; i < options.prefetch + options.hold; ++i) {
      slots.emplace_back(static_cast<std::size_t>(batch_size) * image,
                         static_cast<std::size_t>(batch_size));
    }
    order.resize(static_cast<std::size_t>(dataset->size()));
    for (int i = 0; i < std::max(1, options.workers); ++i) scratch.emplace_back(image);
  }

  ~State() { stop(); }

  static std::shared_ptr<const Dataset> checked(std::shared_ptr<const Dataset> source) {
    if (!source) {
      throw user_error(ErrorCode::invalid_argument, "loader: a data set must be given, got none");
    }
    check_dataset(*source);
    return source;
  }

  [[nodiscard]] std::int64_t size_of_batch(std::int64_t batch) const noexcept {
    return std::min(batch_size, dataset->size() - batch * batch_size);
  }

  Slot& slot_of(std::int64_t ticket) noexcept {
    return slots[static_cast<std::size_t>(ticket) % slots.size()];
  }

  [[nodiscard]] Batch view(int index, std::int64_t size) const noexcept {
    const Slot& slot = slots[static_cast<std::size_t>(index)];
    Batch batch;
    batch.images = {{DType::f32, {size, image_shape[0], image_shape[1], image_shape[2]}},
                    reinterpret_cast<std::byte*>(slot.images.span().data())};
    batch.labels = {{DType::i32, {size}}, reinterpret_cast<std::byte*>(slot.labels.span().data())};
    batch.slot = index;
    return batch;
  }

  // Note the samples of a ticket in its slot. Tickets come in order, so that one epoch's
  // permutation is enough. Guarded by order_mutex.
  void take_indices(std::int64_t ticket) noexcept {
    const std::int64_t epoch = ticket / batches;
    if (order_epoch != epoch) {
      if (options.shuffle) {
        shuffled_order(options.seed, DataStream::shuffle, static_cast<std::uint64_t>(epoch), order);
      } else {
        std::iota(order.begin(), order.end(), std::int64_t{0});
      }
      order_epoch = epoch;
    }
    const std::int64_t batch = ticket % batches;
    std::copy_n(order.begin() + batch * batch_size, size_of_batch(batch),
                slot_of(ticket).indices.begin());
  }

  void fill(std::int64_t ticket, int worker) {
    Slot& slot = slot_of(ticket);
    const auto size = static_cast<std::size_t>(size_of_batch(ticket % batches));
    filler.fill(std::span(slot.indices).first(size), ticket / batches, slot.images.span(),
                slot.labels.span(), scratch[static_cast<std::size_t>(worker)].span());
  }

  void work(int worker) noexcept {
    for (;;) {
      std::int64_t ticket = 0;
      {
        // Whoever waits for room holds order_mutex, so that tickets and indices are taken together.
        const std::lock_guard ordered(order_mutex);
        {
          std::unique_lock lock(mutex);
          room.wait(lock, [&] { return stopping || taken < consumed + options.prefetch; });
          if (stopping) return;
          ticket = taken++;
        }
        take_indices(ticket);
      }
      std::exception_ptr error;
      try {
        fill(ticket, worker);
      } catch (...) {
        error = std::current_exception();
      }
      {
        const std::lock_guard lock(mutex);
        slot_of(ticket).error = std::move(error);
        slot_of(ticket).ready = true;
      }
      ready.notify_one();
    }
  }

  void start() {
    for (int i = static_cast<int>(threads.size()); i < options.workers; ++i) {
      threads.emplace_back([this, i] { work(i); });
    }
  }

  void stop() noexcept {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    room.notify_all();
    for (std::thread& thread : threads) thread.join();
    threads.clear();
    stopping = false;
  }

  // Make the batch `consumed` ready in its slot.
  void await() {
    if (options.workers == 0) {
      take_indices(consumed);
      fill(consumed, 0);
      return;
    }
    start();
    std::unique_lock lock(mutex);
    Slot& slot = slot_of(consumed);
    ready.wait(lock, [&] { return slot.ready; });
    if (slot.error) std::rethrow_exception(slot.error);
    slot.ready = false;
  }

  std::shared_ptr<const Dataset> dataset;
  LoaderOptions options;
  Shape image_shape;
  BatchFiller filler;
  std::int64_t batch_size = 0;
  std::int64_t batches = 0;
  std::vector<Slot> slots;
  std::vector<AlignedArray<float>> scratch;  // one image for each worker

  std::mutex order_mutex;  // taken before mutex
  std::vector<std::int64_t> order;
  std::int64_t order_epoch = -1;

  std::mutex mutex;  // guards all below, and ready and error of the slots
  std::condition_variable room;
  std::condition_variable ready;
  std::int64_t taken = 0;     // the next ticket for a worker
  std::int64_t consumed = 0;  // the next ticket for next()
  bool stopping = false;
  std::vector<std::thread> threads;
};

Loader::Loader(std::shared_ptr<const Dataset> dataset, LoaderOptions options)
    : state_(std::make_unique<State>(std::move(dataset), std::move(options))) {}

Loader::~Loader() = default;

Batch Loader::next() {
  State& state = *state_;
  state.await();
  const LoaderPosition position = this->position();
  Batch batch =
      state.view(static_cast<int>(static_cast<std::size_t>(state.consumed) % state.slots.size()),
                 state.size_of_batch(position.batch));
  batch.position = position;
  batch.last = position.batch + 1 == state.batches;
  {
    const std::lock_guard lock(state.mutex);
    ++state.consumed;
  }
  state.room.notify_one();
  return batch;
}

LoaderPosition Loader::position() const noexcept {
  return {state_->consumed / state_->batches, state_->consumed % state_->batches};
}

void Loader::seek(LoaderPosition position) {
  if (position.epoch < 0 || position.batch < 0 || position.batch >= state_->batches) {
    throw user_error(
        ErrorCode::invalid_argument,
        fmt::format("loader \"{} {}\": position must have a batch from 0 to {} of an epoch from 0, "
                    "got batch {} of epoch {}",
                    state_->dataset->name, split_name(state_->dataset->split), state_->batches - 1,
                    position.batch, position.epoch));
  }
  state_->stop();
  for (Slot& slot : state_->slots) {
    slot.ready = false;
    slot.error = nullptr;
  }
  state_->consumed = state_->taken = position.epoch * state_->batches + position.batch;
}

const Dataset& Loader::dataset() const noexcept { return *state_->dataset; }

const LoaderOptions& Loader::options() const noexcept { return state_->options; }

std::int64_t Loader::batches_per_epoch() const noexcept { return state_->batches; }

std::int64_t Loader::size_of_batch(std::int64_t batch) const noexcept {
  return state_->size_of_batch(batch);
}

int Loader::slot_count() const noexcept { return static_cast<int>(state_->slots.size()); }

Batch Loader::slot(int index) const noexcept { return state_->view(index, state_->batch_size); }

}  // namespace ingot::data
