#include "ingot/backends/cuda/step/feed_ring.h"

#include <cstring>
#include <utility>

#include "ingot/backends/cuda/driver/driver.h"

namespace ingot::cuda {

FeedRing::FeedRing(std::shared_ptr<CudaDevice> device, std::string name)
    : device_(std::move(device)), name_(std::move(name)) {
  for (Place& place : places_) {
    check(driver().EventCreate(&place.copied, CU_EVENT_DISABLE_TIMING), "making an event");
    check(driver().EventCreate(&place.read, CU_EVENT_DISABLE_TIMING), "making an event");
  }
}

FeedRing::~FeedRing() {
  for (Place& place : places_) {
    for (const CUevent event : {place.copied, place.read}) {
      if (event == nullptr) continue;
      if (place.used) driver().EventSynchronize(event);
      driver().EventDestroy(event);
    }
  }
}

void FeedRing::grow(std::size_t bytes) {
  if (bytes <= bytes_) return;
  for (Place& place : places_) {
    if (place.used) {
      check(driver().EventSynchronize(place.copied), "waiting for a feed");
      check(driver().EventSynchronize(place.read), "waiting for a feed");
    }
    place.used = false;
    place.device.reset();
    place.host = std::make_unique<Pinned>(device_, bytes, "feed \"" + name_ + "\"");
    place.device = Buffer::allocate(device_, bytes, "feed \"" + name_ + "\"");
  }
  bytes_ = bytes;
}

const std::byte* FeedRing::copy(const std::byte* data, std::size_t bytes, CUstream copies,
                                CUstream reader) {
  grow(bytes);
  next_ = (next_ + 1) % places_.size();
  Place& place = places_[next_];
  if (place.used) {
    check(driver().EventSynchronize(place.copied), "waiting for a feed");
    check(driver().StreamWaitEvent(copies, place.read, 0), "waiting for a feed");
  }
  std::memcpy(place.host->data(), data, bytes);
  check(driver().MemcpyHtoDAsync(device_pointer(place.device.data()), place.host->data(), bytes,
                                 copies),
        "copying a feed");
  check(driver().EventRecord(place.copied, copies), "recording an event");
  check(driver().StreamWaitEvent(reader, place.copied, 0), "waiting for a feed");
  pending_ = true;
  return static_cast<const std::byte*>(place.device.data());
}

void FeedRing::release(CUstream reader) {
  if (!pending_) return;
  pending_ = false;
  Place& place = places_[next_];
  check(driver().EventRecord(place.read, reader), "recording an event");
  place.used = true;
}

const std::byte* FeedRings::copy(std::size_t feed, const std::string& name, const std::byte* data,
                                 std::size_t bytes, CUstream reader) {
  if (copies_.stream == nullptr) {
    check(driver().StreamCreate(&copies_.stream, CU_STREAM_NON_BLOCKING), "making a stream");
  }
  if (rings_.size() <= feed) rings_.resize(feed + 1);
  if (rings_[feed] == nullptr) rings_[feed] = std::make_unique<FeedRing>(device_, name);
  return rings_[feed]->copy(data, bytes, copies_.stream, reader);
}

void FeedRings::release(CUstream reader) {
  for (const auto& ring : rings_) {
    if (ring != nullptr) ring->release(reader);
  }
}

}  // namespace ingot::cuda
