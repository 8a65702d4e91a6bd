// SPDX-License-Identifier: BSD-3-Clause
// What a region of several parts (sources) does beyond a fit of one: each part has a damping of its
// own, parts that lose by a trial go back alone, and parts with nothing to gain rest.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "base/sorted.hpp"
#include "solve/bracket.hpp"
#include "solve/descent.hpp"

namespace jointlight {
namespace {

// One of several parts that promises less than this, at most a hundredth of what one sigma is
// worth, so many times in a row is left alone: along its valley chi2 hardly falls. With few parts
// it costs little to go on.
constexpr double most_faint_gain = 1e-2, least_faint_gain = 1e-4, faint_gain_each = 1e-4;
constexpr int max_faint_steps = 3;
constexpr double kept_gain = 0.75;

// So many trials of several parts, half of them accepted, that gain less than this a part are the
// end: it is a fiftieth of a sigma each.
constexpr double idle_gain_each = 3e-4;

// Fresh starts at the end, each of which must have gained this for another one.
constexpr int max_fresh = 4;
constexpr double fresh_gain = 5.0;  // times the faint gain of a part, or the idle gain of all

// Square of the correlation from which two parts count as blended.
constexpr double blend_limit = 0.01;

// Of many parts, those that got worse by this much of what they promised are sent back alone, if
// they are fewer than one in min_repair_ratio and cost this share of the whole step's promise.
// Fewer losses are left to the next step, which costs no more than sending them back.
constexpr double repair_loss = 1.5, repair_share = 0.02;
constexpr int min_repair_ratio = 3;

// The same of few parts, whose damping rises where a whole step is rejected.
constexpr double blamed_loss = 0.25;

// Damping beyond which steps follow the gradient anyway; many parts get shorter ones by a cut.
constexpr double many_parts_lambda = 1e4;

// Trials with other dampings, after the first few with twice the growth.
constexpr int most_solves = 60, patient_solves = 4;

// Calls visit(entry, row, column) for every pair of coordinates of a pattern.
template <class Visit>
void each_pair(const SparsePattern& pattern, const Visit& visit) {
  for (int j = 0; j < pattern.n; ++j) {
    for (int k = pattern.diagonal(j) + 1; k < pattern.diagonal(j + 1); ++k) {
      const auto e = static_cast<std::size_t>(k);
      visit(e, static_cast<std::size_t>(pattern.row[e]), static_cast<std::size_t>(j));
    }
  }
}

void add_once(std::vector<int>& list, std::size_t value) {
  const int v = static_cast<int>(value);
  if (list.empty() || list.back() != v) list.push_back(v);
}

}  // namespace

double Descent::faint_gain(std::size_t n_parts) {
  return std::clamp(faint_gain_each * static_cast<double>(n_parts), least_faint_gain,
                    most_faint_gain);
}

void Descent::find_touching() {
  if (single()) return;
  for (std::size_t k = 0; k < dampings_.size(); ++k) add_once(dampings_[k].touching, k);
  each_pair(region_.pattern, [&](std::size_t, std::size_t i, std::size_t j) {
    if (home(i) == home(j)) return;
    add_once(dampings_[home(i)].touching, home(j));
    add_once(dampings_[home(j)].touching, home(i));
  });
  for (Damping& d : dampings_) sort_unique(d.touching);
}

// Parts are blended if some pair of their coordinates is correlated.
void Descent::find_neighbours() {
  if (single() || whole_ != nullptr) return;
  for (std::size_t k = 0; k < dampings_.size(); ++k) {
    dampings_[k].neighbours.clear();
    add_once(dampings_[k].neighbours, k);
  }
  each_pair(region_.pattern, [&](std::size_t e, std::size_t i, std::size_t j) {
    const double h = best_.h[e];
    if (home(i) == home(j) || h * h <= blend_limit * diagonal_[i] * diagonal_[j]) return;
    add_once(dampings_[home(i)].neighbours, home(j));
    add_once(dampings_[home(j)].neighbours, home(i));
  });
  for (Damping& d : dampings_) sort_unique(d.neighbours);
}

// Gives up parts that no longer gain anything.
void Descent::find_stalled() {
  if (single() || !trial_.accepted) return;
  for (std::size_t k = 0; k < dampings_.size(); ++k) {
    Damping& d = dampings_[k];
    if (d.resting || (!undo_.empty() && undo_[k] != 0)) continue;
    // A short step that keeps its promise is only damped, and the next one will be longer.
    const bool poor = d.full_predicted < faint() || d.gain < kept_gain;
    d.n_faint = d.predicted < faint() && poor ? d.n_faint + 1 : 0;
    d.stalled = d.n_faint >= max_faint_steps;
  }
}

// Decrease of chi2 over idle_trials that is not worth them.
double Descent::idle_gain() const {
  const double gain = idle_gain_each * variance() * static_cast<double>(dampings_.size());
  return whole_ != nullptr ? std::max(gain, faint()) : gain;
}

void Descent::start_afresh(Damping& d) const {
  d.stalled = false;
  d.n_faint = 0;
  d.lambda = options_.initial_lambda;
  d.growth = 2.0;
  d.max_norm = std::numeric_limits<double>::infinity();
}

// At the end, parts that the full step still promises something are started once more with fresh
// damping, as long as that helps: along a curved valley the damping had only risen.
bool Descent::try_afresh() {
  if (single() || whole_ != nullptr) return false;
  if (full_.status != Factorization::ok || n_fresh_ >= max_fresh) return false;
  if (n_fresh_ > 0 && fresh_chi2_ - best_.chi2 < std::max(fresh_gain * faint(), idle_gain()))
    return false;
  bool any = false;
  for (Damping& d : dampings_) {
    if (d.full_predicted < faint()) continue;
    any = true;
    start_afresh(d);
  }
  if (!any) return false;
  ++n_fresh_;
  fresh_chi2_ = best_.chi2;
  n_small_ = 0;
  recent_.clear();
  choose_resting();
  return true;
}

// With many parts, each solve is dear and some part is always too long: it is cut. Blends may turn
// what is left uphill; then the parts that were cut are damped instead.
bool Descent::search_many() {
  const auto moves = [](const Damping& d) { return !d.resting; };
  if (std::none_of(dampings_.begin(), dampings_.end(), moves)) return false;
  for (int k = 0; k < most_solves; ++k) {
    for (std::size_t i = 0; i < damping_.size(); ++i) damping_[i] = dampings_[home(i)].lambda;
    trial_.step = solve(true);
    const bool solved = trial_.step.status == Factorization::ok;
    std::vector<double> cut(dampings_.size(), 1.0);
    if (solved) {
      measure_parts(trial_.step, false);
      for (std::size_t p = 0; p < cut.size(); ++p) {
        const Damping& d = dampings_[p];
        if (d.norm > d.max_norm) cut[p] = d.max_norm / d.norm;
      }
      for (std::size_t i = 0; i < damping_.size(); ++i) trial_.step.p[i] *= cut[home(i)];
      measure_parts(trial_.step, false);
      trial_.step.predicted = 0.0;
      for (const Damping& d : dampings_) trial_.step.predicted += d.predicted;
      if (trial_.step.predicted > options_.chi2_noise * best_.chi2) break;
    }
    const bool any_cut = std::any_of(cut.begin(), cut.end(), [](double c) { return c < 1.0; });
    // Damping only lowers what a whole step promises.
    if (solved && !any_cut && trial_.step.predicted >= 0.0) break;
    bool raised = false;
    for (std::size_t p = 0; p < cut.size(); ++p) {
      Damping& d = dampings_[p];
      if (d.resting || d.lambda > options_.max_lambda || (solved && any_cut && cut[p] == 1.0))
        continue;
      d.lambda *= k < patient_solves ? damping_growth : damping_growth * damping_growth;
      raised = true;
    }
    if (!raised) break;
  }
  for (const Damping& d : dampings_) {
    if (!d.resting) trial_.lambda = std::max(trial_.lambda, d.lambda);
  }
  trial_.norm = scaled_norm(trial_.step.p);
  return trial_.step.status == Factorization::ok;
}

// The trial again without the parts that lost by it.
void Descent::repair() {
  for (std::size_t i = 0; i < best_.x.size(); ++i) {
    if (undo_[home(i)] != 0) next_.x[i] = best_.x[i];
    trial_.step.p[i] = next_.x[i] - best_.x[i];
  }
  measure_parts(trial_.step, false);
  trial_.step.predicted = 0.0;
  for (const Damping& d : dampings_) trial_.step.predicted += d.predicted;
  trial_.norm = scaled_norm(trial_.step.p);
  trial_.actual = trial_.gain = std::numeric_limits<double>::quiet_NaN();
}

// By how much the trial raised a part's chi2.
double Descent::loss(std::size_t k) const {
  const double value = next_.parts[k] - best_.parts[k];
  return std::isfinite(value) ? value : std::numeric_limits<double>::infinity();
}

// Parts whose steps made pixels worse by more than was to be expected: those that own the pixels,
// with what they are blended with, unless their own steps are too short to explain it.
std::vector<std::uint8_t> Descent::blamed(double& losses) const {
  const std::size_t n = dampings_.size();
  std::vector<double> reach(n);  // change of chi2 that a step may well have made
  for (std::size_t k = 0; k < n; ++k) {
    const Damping& d = dampings_[k];
    reach[k] = d.resting ? 0.0 : std::abs(d.slope) + d.norm * d.norm;
  }
  std::vector<std::uint8_t> undo(n, 0);
  losses = 0.0;
  for (std::size_t k = 0; k < n; ++k) {
    const double lost = loss(k);
    // Blended parts trade light: what one's pixels lose, others' may gain.
    double promise = faint();
    for (const int j : dampings_[k].touching) {
      const Damping& d = dampings_[static_cast<std::size_t>(j)];
      if (!d.resting) promise += std::max(d.predicted, 0.0);
    }
    if (lost <= (many() ? repair_loss : blamed_loss) * promise) continue;
    losses += lost;
    const bool own = lost <= 2.0 * reach[k] || !std::isfinite(lost);
    for (const int j : own ? dampings_[k].neighbours : dampings_[k].touching) {
      const auto at = static_cast<std::size_t>(j);
      if (reach[at] > 0.0 && (own || reach[at] >= 0.1 * lost)) undo[at] = 1;
    }
  }
  return undo;
}

// Where a few of many parts lose, they go back while the rest keeps its step.
bool Descent::plan_repair() {
  if (!many()) return false;
  double losses = 0.0;
  std::vector<std::uint8_t> undo = blamed(losses);
  if (losses < repair_share * trial_.step.predicted) return false;
  const auto n_undone = std::count(undo.begin(), undo.end(), std::uint8_t{1});
  const auto n_moving = std::count_if(dampings_.begin(), dampings_.end(),
                                      [](const Damping& d) { return !d.resting; });
  if (n_undone == 0 || n_undone * min_repair_ratio > n_moving) return false;
  for (std::size_t k = 0; k < undo.size(); ++k) {
    if (undo[k] != 0) raise_part(k, loss(k));
  }
  undo_ = std::move(undo);
  trial_.accepted = false;
  return true;
}

// Gain ratio of a part and all that it touches.
double Descent::neighbourhood_gain(std::size_t k) const {
  double actual = 0.0, predicted = 0.0;
  for (const int j : dampings_[k].neighbours) {
    const auto at = static_cast<std::size_t>(j);
    actual += best_.parts[at] - next_.parts[at];
    predicted += dampings_[at].resting ? 0.0 : dampings_[at].predicted;
  }
  // Next to the whole step's promise, less than this cannot be told from what lies farther off.
  const double least = std::max(untried_decrease(), 1e-3 * trial_.step.predicted);
  return predicted > least ? actual / predicted : trial_.gain;
}

void Descent::relax_damping() {
  const double error = std::abs(trial_.gain - 1.0);
  const double least = options_.ftol * tolerance_chi2();
  const bool small = trial_.step.predicted <= least && std::abs(trial_.actual) <= least;
  // While the model keeps its promises the damping falls, and longer steps are to come.
  n_small_ = small && error > 0.1 ? n_small_ + 1 : 0;
  chance_ = trial_.gain >= 0.25 ? 0.95 : 0.6;
  const double tiny = untried_decrease();
  for (std::size_t k = 0; k < dampings_.size(); ++k) {
    Damping& d = dampings_[k];
    if (d.resting || (!undo_.empty() && undo_[k] != 0)) continue;
    double gain = trial_.gain;
    if (!single()) {
      // A part's own pixels tell most about it, but they also see its neighbours move.
      const double own = (best_.parts[k] - next_.parts[k]) / std::max(d.predicted, tiny);
      const double around = neighbourhood_gain(k);
      gain = std::abs(own - 1.0) < 0.25 ? own : around;
    }
    d.gain = gain;
    double factor = std::clamp(1.0 - std::pow(2.0 * gain - 1.0, 3), 1.0 / 3.0, 2.0);
    // A model this good needs hardly any damping; max_norm remembers where it was bad.
    if (std::abs(gain - 1.0) < 0.25) factor = 0.1;
    if (std::abs(gain - 1.0) < 0.05) factor = 0.01;
    d.lambda = std::max(options_.min_lambda, d.lambda * factor);
    d.growth = 2.0;
    if (std::isfinite(d.max_norm)) {
      d.max_norm = d.norm * (gain > 0.75 ? 2.0 : gain > 0.25 ? 1.0 : 0.5);
    }
  }
}

void Descent::raise_damping() {
  chance_ = 0.6;
  double losses = 0.0;
  const std::vector<std::uint8_t> culprits = blamed(losses);
  const bool any = std::any_of(culprits.begin(), culprits.end(), [](auto c) { return c != 0; });
  for (std::size_t k = 0; k < dampings_.size(); ++k) {
    if (dampings_[k].resting) continue;
    // Those to blame; if that did not help, all.
    if (single()) {
      raise_part(k, -trial_.actual);
    } else if (!any || n_rejected_ > 2 || culprits[k] != 0) {
      raise_part(k, loss(k));
    }
  }
}

// lost: by how much the trial raised the part's chi2.
void Descent::raise_part(std::size_t k, double lost) {
  Damping& d = dampings_[k];
  // Minimum of the parabola through chi2, its slope and the failed trial.
  double shrink = 0.25;
  if (std::isfinite(lost) && d.slope != lost)
    shrink = std::clamp(0.5 * d.slope / (d.slope - lost), 0.1, 0.5);
  if (d.norm > 0.0) d.max_norm = shrink * d.norm;
  // Among many parts, the length is what is limited: any of them may be blamed for another's step.
  d.lambda = many() ? std::min(d.lambda * d.growth, std::max(d.lambda, many_parts_lambda))
                    : d.lambda * d.growth;
  d.growth *= 2.0;
}

}  // namespace jointlight
