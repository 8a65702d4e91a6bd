// SPDX-License-Identifier: BSD-3-Clause
#include "scene/plan_cache.hpp"

#include <pthread.h>

#include <bit>

namespace jointlight {
namespace {

constexpr std::size_t shared_idle_bytes = std::size_t{32} << 20;
constexpr std::size_t most_extents = 16384;
constexpr std::size_t most_filters = 4096;

// Two multiply-and-fold hashes with different odd constants.
class Hash {
 public:
  void add(std::uint64_t word) {
    a_ = mix((a_ ^ word) * 0x9e3779b97f4a7c15U);
    b_ = mix((b_ + word) * 0xd6e8feb86659fd93U);
  }
  void add(double value) { add(std::bit_cast<std::uint64_t>(value)); }
  PlanCache::PsfKey key() const { return {a_, b_}; }

 private:
  static std::uint64_t mix(std::uint64_t x) { return x ^ (x >> 29U) ^ (x >> 47U); }

  std::uint64_t a_ = 0x243f6a8885a308d3U, b_ = 0x13198a2e03707344U;
};

}  // namespace

PlanCache::PsfKey PlanCache::key(const Psf& psf) {
  Hash hash;
  hash.add(static_cast<std::uint64_t>(psf.form));
  hash.add(static_cast<std::uint64_t>(psf.includes_pixel));
  for (const int value : {psf.nx, psf.ny, psf.oversampling}) {
    hash.add(static_cast<std::uint64_t>(value));
  }
  for (const double value : {psf.cx, psf.cy, psf.params[0], psf.params[1], psf.extent}) {
    hash.add(value);
  }
  for (const double value : psf.data) hash.add(value);
  return hash.key();
}

PsfExtent PlanCache::extent(const PsfKey& key, const Psf& psf) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = extents_.find(key);
    if (found != extents_.end()) return found->second;
  }
  const PsfExtent extent{psf.reach(1e-10), psf.reach(1e-7), psf.core_width()};
  const std::lock_guard lock(mutex_);
  if (extents_.size() >= most_extents) extents_.clear();
  extents_.emplace(key, extent);
  return extent;
}

std::shared_ptr<const Transfer> PlanCache::transfer(const PsfKey& psf_key, const Psf& psf,
                                                    int box_x, int box_y) {
  const TransferKey key{psf_key, box_x, box_y};
  const auto find = [&]() -> std::shared_ptr<const Transfer> {
    const auto found = found_.find(key);
    if (found == found_.end()) return nullptr;
    transfers_.splice(transfers_.begin(), transfers_, found->second);
    return found->second->transfer;
  };
  {
    const std::lock_guard lock(mutex_);
    if (auto ready = find()) return ready;
  }
  auto made = std::make_shared<const Transfer>(psf, box_x, box_y);
  const std::lock_guard lock(mutex_);
  if (auto ready = find()) return ready;  // another thread was faster
  transfers_.push_front({key, made});
  found_.emplace(key, transfers_.begin());
  drop_idle();
  return made;
}

std::shared_ptr<const FftPlan> PlanCache::fft(int size) {
  const std::lock_guard lock(mutex_);
  auto& slot = ffts_[size];
  if (!slot) slot = std::make_shared<const FftPlan>(size);
  return slot;
}

std::shared_ptr<const RestFilter> PlanCache::rest_filter(const PsfKey& psf_key, const Psf& psf,
                                                         double tolerance) {
  const std::pair key{psf_key, tolerance};
  {
    const std::lock_guard lock(mutex_);
    const auto found = rest_filters_.find(key);
    if (found != rest_filters_.end()) return found->second;
  }
  auto made = std::make_shared<const RestFilter>(make_rest_filter(psf, tolerance));
  const std::lock_guard lock(mutex_);
  if (rest_filters_.size() >= most_filters) rest_filters_.clear();
  return rest_filters_.emplace(key, std::move(made)).first->second;
}

void PlanCache::drop_idle() {
  std::size_t idle = 0;
  for (auto entry = transfers_.begin(); entry != transfers_.end();) {
    const auto here = entry++;
    if (here->transfer.use_count() > 1) continue;
    idle += here->transfer->bytes();
    if (idle <= idle_bytes_) continue;
    found_.erase(here->key);
    transfers_.erase(here);
  }
}

PlanCache& PlanCache::shared() {
  // Never destroyed: threads may still use it when the process ends. Held across fork(), so that a
  // child never finds it locked by a thread that it does not have.
  static PlanCache* const cache = [] {
    pthread_atfork([] { shared().mutex_.lock(); }, [] { shared().mutex_.unlock(); },
                   [] { shared().mutex_.unlock(); });
    return new PlanCache(shared_idle_bytes);
  }();
  return *cache;
}

// Made when the library is loaded: a fork while a thread makes it would leave the child waiting for
// that thread.
[[maybe_unused]] static const PlanCache& made_early = PlanCache::shared();

}  // namespace jointlight
