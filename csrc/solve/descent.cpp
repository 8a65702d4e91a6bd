// SPDX-License-Identifier: BSD-3-Clause
#include "solve/descent.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>

#include "solve/bracket.hpp"

namespace jointlight {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double epsilon = std::numeric_limits<double>::epsilon();

// Least gain ratio of an accepted step: any real decrease, but not rounding.
constexpr double min_gain = 1e-4;

// Damping of the full step: enough to tame directions that are degenerate to rounding.
constexpr double full_step_lambda = 1e-10;

// A full step that promises less than ftol times the chi2 of this many data, or than this fraction
// of ftol, is not tried where the last step kept its promise to within trusted_gain_error.
constexpr double untried_data = 1e5;
constexpr double untried_ftol = 0.1;
constexpr double trusted_gain_error = 0.5;

// What moving one coordinate alone promises, in chi2, that may be the rounding of float32
// derivatives where no step lowers chi2: 0.01 sigma.
constexpr double rough_gain = 1e-4;

constexpr int max_searches = 60;

// Accepted, poorly predicted steps below ftol after which the full step is no longer believed.
constexpr int max_small_steps = 3;

// One of several parts rests while its full step is shorter than this many conditional errors; of
// many, while there is more to gain elsewhere. All that rest move together in the end.
constexpr double resting_norm = 1e-3, resting_norm_of_many = 1e-2;

bool all_finite(std::span<const double> v) {
  return std::all_of(v.begin(), v.end(), [](double a) { return std::isfinite(a); });
}

}  // namespace

Descent::Descent(Region region, const Box& box, const LMOptions& options)
    : region_(std::move(region)),
      options_(options),
      dampings_(region_.parts.size()),
      faint_gain_(faint_gain(region_.parts.size())),
      solver_(region_.pattern, options.dense_max_size) {
  const std::size_t n = region_.coordinates.size();
  set_box(box);
  for (Damping& d : dampings_) d.lambda = options.initial_lambda;
  best_ = {std::vector<double>(n), std::vector<double>(n),
           std::vector<double>(region_.entries.size()), std::vector<double>(region_.parts.size())};
  next_ = best_;
  diagonal_.assign(n, 0.0);
  damping_ = low_ = high_ = work_ = diagonal_;
  find_touching();
}

void Descent::set_box(const Box& box) {
  lower_.clear();
  upper_.clear();
  max_step_.clear();
  for (const int c : region_.coordinates) {
    const auto i = static_cast<std::size_t>(c);
    lower_.push_back(box.lower[i]);
    upper_.push_back(box.upper[i]);
    if (!box.max_step.empty()) max_step_.push_back(box.max_step[i]);
  }
}

void Descent::take(const Evaluation& at, Point& point) const {
  const auto gather = [](std::span<const double> from, const std::vector<int>& which,
                         std::vector<double>& to) {
    for (std::size_t k = 0; k < which.size(); ++k) to[k] = from[static_cast<std::size_t>(which[k])];
  };
  gather(at.x, region_.coordinates, point.x);
  gather(at.parts, region_.parts, point.parts);
  point.chi2 = std::accumulate(point.parts.begin(), point.parts.end(), 0.0);
  if (at.g.empty()) return;
  gather(at.g, region_.coordinates, point.g);
  gather(at.h, region_.entries, point.h);
}

bool Descent::usable(const Point& point) {
  return std::isfinite(point.chi2) && all_finite(point.g) && all_finite(point.h);
}

double Descent::scaled_norm(std::span<const double> v) const {
  double sum = 0.0;
  for (std::size_t i = 0; i < v.size(); ++i) sum += diagonal_[i] * v[i] * v[i];
  return std::sqrt(sum);
}

void Descent::update_scaling() {
  for (std::size_t i = 0; i < diagonal_.size(); ++i) {
    const double d = best_.h[static_cast<std::size_t>(region_.pattern.column_start[i])];
    diagonal_[i] = std::max(diagonal_[i], d);
  }
}

// The step with the parts' dampings already in damping_ / diagonal_ units.
DampedStep Descent::solve(bool limited) {
  for (std::size_t i = 0; i < diagonal_.size(); ++i) {
    damping_[i] *= diagonal_[i];
    low_[i] = lower_[i] - best_.x[i];
    high_[i] = upper_[i] - best_.x[i];
    if (!limited) continue;
    if (dampings_[home(i)].resting) low_[i] = high_[i] = 0.0;
    if (max_step_.empty()) continue;
    low_[i] = std::max(low_[i], -max_step_[i]);
    high_[i] = std::min(high_[i], max_step_[i]);
  }
  return solver_.step({best_.h, best_.g, damping_, low_, high_});
}

// Each part's share of a step's length and promise.
void Descent::measure_parts(const DampedStep& step, bool full) {
  for (Damping& d : dampings_) {
    (full ? d.full_norm : d.norm) = (full ? d.full_predicted : d.predicted) = 0.0;
    if (!full) d.slope = 0.0;
  }
  symmetric_multiply(region_.pattern, best_.h, step.p, work_);
  for (std::size_t i = 0; i < step.p.size(); ++i) {
    Damping& d = dampings_[home(i)];
    const double p = step.p[i];
    (full ? d.full_norm : d.norm) += diagonal_[i] * p * p;
    (full ? d.full_predicted : d.predicted) -= p * (2.0 * best_.g[i] + work_[i]);
    if (!full) d.slope += 2.0 * best_.g[i] * p;
  }
  for (Damping& d : dampings_) {
    double& norm = full ? d.full_norm : d.norm;
    norm = std::sqrt(norm);
  }
}

// What the linearisation at the best point says: scaling, projected gradient, full step.
void Descent::examine() {
  update_scaling();
  cosine_ = 0.0;
  influence_ = false;
  for (std::size_t i = 0; i < diagonal_.size(); ++i) {
    const double d = best_.h[static_cast<std::size_t>(region_.pattern.column_start[i])];
    if (!(d > no_influence)) continue;
    influence_ = true;
    const bool shut = (best_.x[i] <= lower_[i] && best_.g[i] >= 0.0) ||
                      (best_.x[i] >= upper_[i] && best_.g[i] <= 0.0);
    if (!shut && best_.chi2 > 0.0) {
      cosine_ = std::max(cosine_, std::abs(best_.g[i]) / std::sqrt(d * best_.chi2));
    }
  }
  if (!influence_) return;
  double least = full_step_lambda;
  for (const Damping& d : dampings_) least = std::min(least, d.lambda);
  for (double lambda = least;; lambda *= 100.0) {
    std::fill(damping_.begin(), damping_.end(), lambda);
    full_ = solve(false);
    if (full_.status == Factorization::ok || lambda > 1.0) break;
  }
  full_norm_ = scaled_norm(full_.p);
  measure_parts(full_, true);
  find_neighbours();
}

void Descent::choose_resting() {
  if (single()) return;
  bool any_moves = false;
  const double norm = many() ? resting_norm_of_many : resting_norm;
  const double short_norm = norm * std::sqrt(variance());
  for (Damping& d : dampings_) {
    d.resting = d.stalled || (full_.status == Factorization::ok && d.full_norm < short_norm);
    any_moves = any_moves || !d.resting;
  }
  if (!any_moves) wake();
}

// Nothing but what was given up rests any more; true if something had.
bool Descent::wake() {
  bool any = false;
  for (Damping& d : dampings_) {
    any = any || d.resting != d.stalled;
    d.resting = d.stalled;
  }
  return any;
}

// What the full step promises, but for parts that were given up.
double Descent::open_gain() const {
  if (single()) return full_.predicted;
  double sum = 0.0;
  for (const Damping& d : dampings_) sum += d.stalled ? 0.0 : d.full_predicted;
  return sum;
}

// Of chi2's unit: a poor fit (or understated errors) is no reason to stop farther from its minimum,
// and weights that are not inverse variances leave chi2 in a unit of its own.
double Descent::variance() const {
  if (whole_ != nullptr) return whole_->variance();
  const auto n_data = static_cast<double>(region_.n_data);
  return n_data > 0.0 ? std::min(1.0, best_.chi2 / n_data) : 0.0;
}

// Decrease of chi2 not worth an evaluation.
double Descent::untried_decrease() const {
  return options_.ftol * std::max(untried_ftol * tolerance_chi2(), untried_data * variance());
}

bool Descent::idle(const std::deque<double>& recent, double chi2) const {
  return recent.size() >= idle_trials && recent.front() - chi2 < idle_gain() &&
         std::count_if(
             recent.begin(), recent.end(), [&](double c) { return c > chi2; }) >=
             static_cast<int>(idle_trials / 2);
}

// The tests at the best point, whose full step is known; trial_ is the step that led there, or one
// that was rejected there.
std::optional<Status> Descent::converged() const {
  const double chi2 = best_.chi2;
  // Residuals that fell to rounding of the initial ones: nothing is left to fit.
  if (chi2 <= 10.0 * epsilon * epsilon * start_chi2_) return Status::converged_ftol;
  if (full_.status != Factorization::ok) return std::nullopt;
  const double relative_gain = open_gain() / tolerance_chi2();
  if (cosine_ <= options_.gtol &&
      relative_gain <= std::max(options_.ftol, options_.gtol * options_.gtol)) {
    return Status::converged_gtol;
  }
  if (n_trials_ == 0) return std::nullopt;
  // Where residuals are large and curved, the full step promises what no step can keep.
  if (n_small_ >= max_small_steps) return Status::converged_ftol;
  if (!single() && idle(recent_, chi2)) return Status::converged_ftol;
  const double least = options_.ftol * tolerance_chi2();
  const bool tried = trial_.step.predicted <= least && std::abs(trial_.actual) <= least;
  if (tried && relative_gain <= options_.ftol) return Status::converged_ftol;
  if (trial_.accepted && std::abs(trial_.gain - 1.0) <= trusted_gain_error &&
      open_gain() <= untried_decrease()) {
    return Status::converged_ftol;
  }
  const double small = options_.xtol * (scaled_norm(best_.x) + options_.xtol);
  if (trial_.accepted && trial_.norm <= small && full_norm_ <= small) {
    return Status::converged_xtol;
  }
  return std::nullopt;
}

// No shorter step can be tried, or none would be told from rounding.
Status Descent::stuck() const {
  if (n_finite_ == 0 && n_non_finite_ > 0) return Status::non_finite;
  if (full_.status != Factorization::ok) return Status::degenerate;
  if (open_gain() <= options_.ftol * tolerance_chi2() || n_small_ > 0)
    return Status::converged_ftol;
  if (full_norm_ <= options_.xtol * scaled_norm(best_.x)) return Status::converged_xtol;
  if (open_gain() <= options_.chi2_noise * best_.chi2) return Status::converged_ftol;
  const double alone = cosine_ * cosine_ * best_.chi2;
  if (region_.rough && alone <= rough_gain * variance()) return Status::converged_gtol;
  return Status::no_decrease;
}

Status Descent::part_status(std::size_t k) const {
  const Status whole = status_.value_or(Status::max_iterations);
  const bool unfinished = whole == Status::max_iterations || whole == Status::timed_out ||
                          whole == Status::interrupted || whole == Status::no_decrease;
  const bool settled = n_trials_ > 0 && full_.status == Factorization::ok &&
                       (dampings_[k].stalled || dampings_[k].full_predicted <= untried_decrease());
  return unfinished && settled ? Status::converged_ftol : whole;
}

void Descent::begin(const Evaluation& start) {
  take(start, best_);
  start_chi2_ = best_.chi2;
  trial_.accepted = true;
  trial_.chi2 = best_.chi2;
  if (region_.n_data == 0) {
    status_ = Status::all_masked;
  } else if (!all_finite(best_.x) || !usable(best_)) {
    status_ = Status::non_finite;
  } else {
    examine();
    status_ = influence_ ? converged() : Status::degenerate;
  }
}

void Descent::renew(const Box& box, const Evaluation& at) {
  if (status_ == Status::timed_out || status_ == Status::all_masked) return;
  const double old_chi2 = best_.chi2, old_gain = influence_ ? open_gain() : 0.0;
  const bool success = status_ && is_success(*status_);
  std::vector<double> old_promise;
  for (const Damping& d : dampings_) old_promise.push_back(d.full_predicted);
  set_box(box);
  take(at, best_);
  std::fill(diagonal_.begin(), diagonal_.end(), 0.0);
  undo_.clear();
  recent_.clear();
  n_small_ = n_finite_ = n_non_finite_ = n_rejected_ = 0;
  if (!all_finite(best_.x) || !usable(best_)) {
    status_ = Status::non_finite;
    return;
  }
  examine();
  const double same = std::max(faint(), untried_decrease());
  for (std::size_t k = 0; k < dampings_.size(); ++k) {
    Damping& d = dampings_[k];
    if (d.full_predicted > std::max(faint(), 2.0 * old_promise[k])) start_afresh(d);
  }
  choose_resting();
  if (success && std::abs(best_.chi2 - old_chi2) <= same && open_gain() <= old_gain + same) return;
  status_.reset();
  if (!influence_) status_ = Status::degenerate;
}

// Finds the least damped step with every part's share no longer than its max_norm.
bool Descent::search() {
  if (many()) return search_many();
  std::vector<Bracket> brackets(dampings_.size());
  for (std::size_t k = 0; k < brackets.size(); ++k) {
    brackets[k].lambda = dampings_[k].lambda;
    brackets[k].done = dampings_[k].resting;
  }
  std::vector<double> solved_with;
  const auto dampings_of = [&] {
    std::vector<double> lambdas;
    for (const Bracket& b : brackets) lambdas.push_back(b.lambda);
    return lambdas;
  };
  const auto attempt = [&] {
    for (std::size_t i = 0; i < damping_.size(); ++i) damping_[i] = brackets[home(i)].lambda;
    DampedStep step = solve(true);
    if (step.status == Factorization::ok) measure_parts(step, false);
    return step;
  };
  for (int k = 0; k < max_searches; ++k) {
    bool moves = false;
    for (std::size_t p = 0; p < brackets.size(); ++p) {
      if (dampings_[p].resting) continue;
      if (brackets[p].lambda > options_.max_lambda) {
        dampings_[p].resting = true;
        brackets[p].done = true;
      } else {
        moves = true;
      }
    }
    if (!moves) return false;
    DampedStep step = attempt();
    const bool solved = step.status == Factorization::ok;
    bool fits = solved, done = true;
    const std::vector<double> lambdas = dampings_of();
    for (std::size_t p = 0; p < brackets.size(); ++p) {
      if (dampings_[p].resting) continue;
      fits = fits && dampings_[p].norm <= dampings_[p].max_norm;
      // Others' dampings alter this part's step a little: a settled one is left at that.
      if (!brackets[p].done || !solved) {
        brackets[p].done = false;
        brackets[p].update(solved, dampings_[p].norm, dampings_[p].max_norm);
      }
      done = done && brackets[p].done;
    }
    if (fits) {
      trial_.step = std::move(step);
      solved_with = lambdas;
    }
    if (done) break;
  }
  for (std::size_t p = 0; p < brackets.size(); ++p) {
    Bracket& b = brackets[p];
    if (b.fit_norm > 0.0) b.lambda = b.fit_lambda;
  }
  if (solved_with != dampings_of()) trial_.step = attempt();
  if (trial_.step.status != Factorization::ok) return false;
  measure_parts(trial_.step, false);
  trial_.lambda = 0.0;
  for (std::size_t p = 0; p < brackets.size(); ++p) {
    if (dampings_[p].resting) continue;
    dampings_[p].lambda = brackets[p].lambda;
    trial_.lambda = std::max(trial_.lambda, brackets[p].lambda);
  }
  trial_.norm = scaled_norm(trial_.step.p);
  return true;
}

bool Descent::propose(std::span<double> x, int iteration) {
  bool moved = false;
  if (!undo_.empty()) {
    repair();
    moved = trial_.step.predicted > options_.chi2_noise * best_.chi2;
    if (!moved) undo_.clear();
  }
  if (!moved) moved = try_new_step();
  // Parts that moved may only have followed those that rest.
  if (!moved && wake()) moved = try_new_step();
  if (!moved && stuck() != Status::non_finite && try_afresh()) moved = try_new_step();
  if (!moved) {
    status_ = stuck();
    return false;
  }
  for (std::size_t i = 0; i < next_.x.size(); ++i) {
    x[static_cast<std::size_t>(region_.coordinates[i])] = next_.x[i];
  }
  ++n_trials_;
  last_trial_ = iteration;
  return true;
}

bool Descent::try_new_step() {
  trial_ = {};
  bool moved = false;
  // A model decrease lost in rounding can be neither confirmed nor refuted.
  if (search() && trial_.step.predicted > options_.chi2_noise * best_.chi2) {
    for (std::size_t i = 0; i < best_.x.size(); ++i) {
      const double p = trial_.step.p[i];
      next_.x[i] = p <= lower_[i] - best_.x[i]   ? lower_[i]
                   : p >= upper_[i] - best_.x[i] ? upper_[i]
                                                 : best_.x[i] + p;
      moved = moved || next_.x[i] != best_.x[i];
    }
  }
  return moved;
}

bool Descent::judge(const Evaluation& trial) {
  take(trial, next_);
  trial_.chi2 = next_.chi2;
  const bool finite = trial.g.empty() ? std::isfinite(next_.chi2) : usable(next_);
  if (!finite) {
    ++n_non_finite_;
    return false;
  }
  ++n_finite_;
  trial_.actual = best_.chi2 - trial_.chi2;
  trial_.gain = trial_.actual / trial_.step.predicted;
  return trial_.gain > min_gain;
}

void Descent::settle(const Evaluation& trial, bool accepted) {
  const bool repaired = !undo_.empty();
  if (!repaired && plan_repair()) return;  // neither best nor damping of the others changes
  if (accepted) {
    take(trial, next_);
    accepted = usable(next_);
  }
  trial_.accepted = accepted;
  if (accepted) {
    relax_damping();  // compares the parts of both points
    std::swap(best_, next_);
    n_finite_ = n_non_finite_ = n_rejected_ = 0;
    examine();
    find_stalled();
    choose_resting();
  } else {
    ++n_rejected_;
    raise_damping();
  }
  undo_.clear();
  conclude();
}

void Descent::conclude() {
  recent_.push_back(best_.chi2);
  if (recent_.size() > idle_trials) recent_.pop_front();
  status_ = influence_ ? converged() : Status::degenerate;
  if (status_ == Status::converged_ftol && try_afresh()) status_.reset();
}

}  // namespace jointlight
