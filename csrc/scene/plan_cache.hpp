// SPDX-License-Identifier: BSD-3-Clause
// Plans that scenes of one process share, found again by content: a scene with new data, a new
// start or the same PSF costs no transforms of PSFs and no twiddles. Safe from any thread and
// across fork().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <utility>

#include "base/fft_plan.hpp"
#include "scene/psf.hpp"
#include "scene/rest_filter.hpp"

namespace jointlight {

class PlanCache {
 public:
  // What a PSF is, in 128 bits.
  using PsfKey = std::array<std::uint64_t, 2>;
  static PsfKey key(const Psf& psf);

  // `idle_bytes`: PSF transforms that no scene uses are kept up to this.
  explicit PlanCache(std::size_t idle_bytes) : idle_bytes_(idle_bytes) {}
  PlanCache(const PlanCache&) = delete;
  PlanCache& operator=(const PlanCache&) = delete;

  PsfExtent extent(const PsfKey& key, const Psf& psf);
  std::shared_ptr<const Transfer> transfer(const PsfKey& key, const Psf& psf, int box_x, int box_y);
  std::shared_ptr<const FftPlan> fft(int size);
  std::shared_ptr<const RestFilter> rest_filter(const PsfKey& key, const Psf& psf, double accuracy);

  // The one of this process.
  static PlanCache& shared();

 private:
  using TransferKey = std::tuple<PsfKey, int, int>;
  struct Entry {
    TransferKey key;
    std::shared_ptr<const Transfer> transfer;
  };

  void drop_idle();

  std::mutex mutex_;
  const std::size_t idle_bytes_;
  std::list<Entry> transfers_;  // last used first
  std::map<TransferKey, std::list<Entry>::iterator> found_;
  std::map<PsfKey, PsfExtent> extents_;
  std::map<int, std::shared_ptr<const FftPlan>> ffts_;
  std::map<std::pair<PsfKey, double>, std::shared_ptr<const RestFilter>> rest_filters_;
};

}  // namespace jointlight
