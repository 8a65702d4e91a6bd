// SPDX-License-Identifier: BSD-3-Clause
#include "solve/component.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace jointlight {
namespace {

// Below this, all parts together are cheap.
constexpr std::size_t least_parts = 16;

// Groups of so many parts return when half of them have come to rest, for smaller systems.
constexpr std::size_t many_moving = 32;

// A resting part is disturbed when moving one of its coordinates alone would gain this much more or
// less than when it was left, in units of chi2's variance: a tenth of a sigma.
constexpr double disturbance = 1e-2;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

}  // namespace

Component::Component(Region region, const Box& box, const LMOptions& options)
    : whole_(std::move(region), box, options) {}

void Component::propose(std::span<double> x, int iteration, std::vector<Descent*>& trying) {
  if (!divided()) {
    if (whole_.propose(x, iteration)) trying.push_back(&whole_);
    return;
  }
  bool any = false;
  for (Descent& d : descents_) {
    if (returning_ || d.status() || !d.propose(x, iteration)) continue;
    trying.push_back(&d);
    any = true;
  }
  returning_ = !any;
}

void Component::observe(const Evaluation& trial, int iteration) {
  if (returning_) {
    const double before = whole_.chi2();
    const bool gained = chi2() < before;
    unite(&trial);
    // Else the next step is one of the whole.
    if (gained && open()) divide();
  } else if (divided()) {
    const bool fewer = n_began_ >= many_moving && 2 * n_moving() <= n_began_;
    recent_.push_back(chi2());
    if (recent_.size() > Descent::idle_trials) recent_.pop_front();
    returning_ = fewer || disturbed(trial, iteration) || whole_.idle(recent_, recent_.back());
  } else if (open() && whole_.last_trial() == iteration && whole_.accepted()) {
    divide();
  }
}

void Component::divide() {
  if (whole_.region().parts.size() < least_parts || !whole_.full_step_known()) return;
  const std::vector<std::uint8_t> moving = whole_.moving();
  n_began_ = static_cast<std::size_t>(std::count(moving.begin(), moving.end(), 1));
  if (n_began_ == 0 || 2 * n_began_ > moving.size()) return;
  groups_ = split_region(whole_.region(), moving);
  const Region& all = whole_.region();
  std::vector<int> rests(all.parts.size(), -1);  // group beside which a part rests
  for (std::size_t k = 0; k < groups_.size(); ++k) {
    descents_.emplace_back(whole_, groups_[k]);
    chi2_before_.push_back(descents_.back().chi2());
    for (const int p : groups_[k].parts) {
      if (moving[at(p)] == 0 && !whole_.stalled(at(p))) rests[at(p)] = static_cast<int>(k);
    }
  }
  recent_ = whole_.recent();
  watched_.resize(groups_.size());
  for (std::size_t i = 0; i < all.coordinates.size(); ++i) {
    const int group = rests[at(all.home[i])];
    if (group < 0) continue;
    const double curvature = whole_.h()[at(all.pattern.diagonal(static_cast<int>(i)))];
    watched_[at(group)].push_back({at(all.coordinates[i]), whole_.g()[i], curvature});
  }
}

std::size_t Component::n_moving() const {
  std::size_t n = 0;
  for (const Descent& d : descents_) {
    if (d.status()) continue;
    const std::vector<std::uint8_t> moving = d.moving();
    n += static_cast<std::size_t>(std::count(moving.begin(), moving.end(), 1));
  }
  return n;
}

bool Component::disturbed(const Evaluation& trial, int iteration) const {
  if (trial.g.empty()) return false;
  const double least = disturbance * whole_.variance();
  for (std::size_t k = 0; k < descents_.size(); ++k) {
    if (descents_[k].last_trial() != iteration || !descents_[k].accepted()) continue;
    for (const Watched& w : watched_[k]) {
      const double change = trial.g[w.coordinate] - w.gradient;
      if (change * change > least * w.curvature) return true;
    }
  }
  return false;
}

void Component::unite(const Evaluation* seen) {
  if (seen != nullptr) {
    whole_.rejoin(groups_, descents_, recent_, *seen);
  } else {
    whole_.rejoin_unseen(groups_, descents_);
  }
  returning_ = false;
  groups_.clear();
  descents_.clear();
  watched_.clear();
  chi2_before_.clear();
}

double Component::chi2() const {
  double sum = whole_.chi2();
  for (std::size_t k = 0; k < descents_.size(); ++k) sum += descents_[k].chi2() - chi2_before_[k];
  return sum;
}

double Component::cosine() const {
  if (!divided()) return whole_.cosine();
  double largest = 0.0;
  for (const Descent& d : descents_) largest = std::max(largest, d.cosine());
  return largest;
}

}  // namespace jointlight
