// SPDX-License-Identifier: BSD-3-Clause
// A region whose parts mostly rest goes on as its moving parts alone, and comes back as a whole.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>

#include "solve/descent.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

template <class T>
std::vector<T> gathered(const std::vector<T>& from, const std::vector<int>& which) {
  std::vector<T> to;
  if (from.empty()) return to;
  to.reserve(which.size());
  for (const int i : which) to.push_back(from[at(i)]);
  return to;
}

template <class T>
void scatter(const std::vector<T>& from, const std::vector<int>& which, std::vector<T>& to) {
  for (std::size_t k = 0; k < which.size(); ++k) to[at(which[k])] = from[k];
}

}  // namespace

Descent::Descent(const Descent& whole, const Subregion& sub)
    : region_(sub.region),
      options_(whole.options_),
      whole_(&whole),
      lower_(gathered(whole.lower_, sub.coordinates)),
      upper_(gathered(whole.upper_, sub.coordinates)),
      max_step_(gathered(whole.max_step_, sub.coordinates)),
      dampings_(gathered(whole.dampings_, sub.parts)),
      faint_gain_(whole.faint_gain_),
      solver_(region_.pattern, options_.dense_max_size),
      diagonal_(gathered(whole.diagonal_, sub.coordinates)) {
  best_ = {gathered(whole.best_.x, sub.coordinates), gathered(whole.best_.g, sub.coordinates),
           gathered(whole.best_.h, sub.entries), gathered(whole.best_.parts, sub.parts)};
  best_.chi2 = std::accumulate(best_.parts.begin(), best_.parts.end(), 0.0);
  start_chi2_ = best_.chi2;
  next_ = best_;
  damping_.resize(diagonal_.size());
  low_ = high_ = work_ = damping_;
  chance_ = whole.chance_;
  std::vector<int> local(whole.dampings_.size(), -1);
  for (std::size_t k = 0; k < sub.parts.size(); ++k) {
    local[at(sub.parts[k])] = static_cast<int>(k);
  }
  const auto renumber = [&](std::vector<int>& list) {
    for (int& part : list) part = local[at(part)];
    std::erase(list, -1);
  };
  for (Damping& d : dampings_) {
    renumber(d.neighbours);
    renumber(d.touching);
  }
  examine();
  choose_resting();
}

std::vector<std::uint8_t> Descent::moving() const {
  std::vector<std::uint8_t> result;
  for (const Damping& d : dampings_) result.push_back(!d.resting && d.full_norm > 0.0 ? 1 : 0);
  return result;
}

// What the parts learnt of their dampings, and the last step of each subregion as one.
void Descent::adopt(std::span<const Subregion> subs, const std::deque<Descent>& descents) {
  trial_ = {};
  trial_.accepted = true;
  trial_.actual = 0.0;
  for (std::size_t s = 0; s < subs.size(); ++s) {
    const Descent& d = descents[s];
    for (const int i : d.region_.home) {
      const auto part = at(i);
      Damping& own = dampings_[at(subs[s].parts[part])];
      Damping learnt = d.dampings_[part];
      learnt.neighbours = std::move(own.neighbours);
      learnt.touching = std::move(own.touching);
      own = std::move(learnt);
    }
    n_trials_ += d.n_trials_;
    if (d.n_trials_ == 0) continue;
    trial_.step.predicted += d.trial_.step.predicted;
    trial_.actual += d.trial_.actual;
    trial_.norm = std::hypot(trial_.norm, d.trial_.norm);
    trial_.lambda = std::max(trial_.lambda, d.trial_.lambda);
  }
  trial_.gain = trial_.actual / trial_.step.predicted;
}

void Descent::rejoin(std::span<const Subregion> subs, const std::deque<Descent>& descents,
                     const std::deque<double>& recent, const Evaluation& evaluation) {
  take(evaluation, next_);
  if (!usable(next_)) return rejoin_unseen(subs, descents);
  adopt(subs, descents);
  std::swap(best_, next_);
  recent_ = recent;
  trial_.chi2 = best_.chi2;
  n_finite_ = n_non_finite_ = n_rejected_ = 0;
  examine();
  choose_resting();
  if (!status_) conclude();
}

void Descent::rejoin_unseen(std::span<const Subregion> subs, const std::deque<Descent>& descents) {
  adopt(subs, descents);
  for (std::size_t s = 0; s < subs.size(); ++s) {
    const Point& point = descents[s].best_;
    scatter(point.x, subs[s].coordinates, best_.x);
    scatter(point.g, subs[s].coordinates, best_.g);
    scatter(point.h, subs[s].entries, best_.h);
    scatter(point.parts, subs[s].parts, best_.parts);
  }
  best_.chi2 = std::accumulate(best_.parts.begin(), best_.parts.end(), 0.0);
  trial_.chi2 = best_.chi2;
}

}  // namespace jointlight
