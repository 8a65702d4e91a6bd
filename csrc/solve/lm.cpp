// SPDX-License-Identifier: BSD-3-Clause
// Levenberg-Marquardt with Marquardt scaling by the running maximum of the diagonal (More 1978)
// and Nielsen's (1999) continuous damping update, inside a box.
//
// A rejected step never costs a Jacobian: the damping rises, by factorisations alone, until the
// step has shrunk by what the failed trial's parabola suggests. Convergence is judged on the full
// (practically undamped, bounds respected) step, so heavy damping cannot pass for it.
#include "solve/lm.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>

#include "solve/covariance.hpp"
#include "solve/damped.hpp"

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

// Factor by which propose() raises the damping, and how often it then interpolates. These cost
// factorisations, which are cheap beside an evaluation of the scene.
constexpr double damping_growth = 8.0;
constexpr int max_refinements = 3;

// Accepted, poorly predicted steps below ftol after which the full step is no longer believed.
constexpr int max_small_steps = 3;

bool all_finite(std::span<const double> v) {
  return std::all_of(v.begin(), v.end(), [](double a) { return std::isfinite(a); });
}

struct Point {
  std::vector<double> x, g, h;
  double chi2 = nan;
};

class Fit {
 public:
  Fit(Problem& problem, std::vector<double> x0, const LMOptions& options);
  FitOutcome run();

 private:
  struct Trial {
    DampedStep step;
    double lambda = 0.0;
    double norm = 0.0;  // |D p|
    double chi2 = nan;
    double actual = nan;
    double gain = nan;
    bool linearized = false;
    bool accepted = false;
  };

  Status iterate();
  bool propose();
  void evaluate();
  void commit();
  void raise_damping();
  void relax_damping();
  void examine();
  std::optional<Status> converged() const;
  double untried_decrease() const;
  Status stuck() const;
  bool linearize(Point& point);
  void update_scaling();
  DampedStep solve(double lambda, bool limited);
  double scaled_norm(std::span<const double> v) const;
  bool on_bound(std::size_t i) const;
  bool timed_out() const {
    return options_.time_limit_s > 0.0 && elapsed() > options_.time_limit_s;
  }
  double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  void record();
  FitOutcome finish(Status status);

  Problem& problem_;
  const LMOptions& options_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const std::size_t n_;
  std::vector<double> lower_, upper_, max_step_;  // [n], max_step_ may be empty
  Point best_, next_;
  Trial trial_;
  std::optional<DampedSolver> solver_;
  std::vector<double> diagonal_;              // [n] running maximum of diag H
  std::vector<double> damping_, low_, high_;  // [n] arguments of the last solve
  double lambda_;
  double growth_ = 2.0;  // Nielsen's nu
  int n_small_ = 0;      // consecutive accepted steps below ftol, poorly predicted
  double max_norm_ = std::numeric_limits<double>::infinity();  // of the next |D p|
  double chance_ = 0.8;   // guessed probability that the next trial is accepted
  int n_finite_ = 0;      // trials since the last accepted point with a finite chi2
  int n_non_finite_ = 0;  // and without
  DampedStep full_;       // full step at the best point
  double full_norm_ = 0.0;
  double cosine_ = 0.0;     // gradient cosine at the best point
  bool influence_ = false;  // some coordinate moves the model
  double start_chi2_ = nan;
  int iteration_ = 0;
  FitOutcome outcome_;
};

Fit::Fit(Problem& problem, std::vector<double> x0, const LMOptions& options)
    : problem_(problem), options_(options), n_(x0.size()), lambda_(options.initial_lambda) {
  const auto lower = problem.lower(), upper = problem.upper(), max_step = problem.max_step();
  if (problem.size() != static_cast<int>(n_) || lower.size() != n_ || upper.size() != n_ ||
      problem.pattern().n != problem.size() || (!max_step.empty() && max_step.size() != n_)) {
    throw std::invalid_argument("fit: sizes of start, bounds and pattern disagree");
  }
  for (std::size_t i = 0; i < n_; ++i) {
    if (!(lower[i] <= upper[i])) {
      throw std::invalid_argument("fit: lower bound above upper bound, or NaN, at coordinate " +
                                  std::to_string(i));
    }
    x0[i] = std::clamp(x0[i], lower[i], upper[i]);
  }
  lower_.assign(lower.begin(), lower.end());
  upper_.assign(upper.begin(), upper.end());
  max_step_.assign(max_step.begin(), max_step.end());
  const std::size_t nonzeros = problem.pattern().row.size();
  best_ = {std::move(x0), std::vector<double>(n_), std::vector<double>(nonzeros)};
  next_ = best_;
  diagonal_.assign(n_, 0.0);
  damping_ = low_ = high_ = diagonal_;
}

bool Fit::linearize(Point& point) {
  ++outcome_.n_linearize;
  point.chi2 = problem_.linearize(point.x, point.g, point.h);
  return std::isfinite(point.chi2) && all_finite(point.g) && all_finite(point.h);
}

double Fit::scaled_norm(std::span<const double> v) const {
  double sum = 0.0;
  for (std::size_t i = 0; i < n_; ++i) sum += diagonal_[i] * v[i] * v[i];
  return std::sqrt(sum);
}

bool Fit::on_bound(std::size_t i) const {
  return best_.x[i] <= lower_[i] || best_.x[i] >= upper_[i];
}

void Fit::update_scaling() {
  for (std::size_t i = 0; i < n_; ++i) {
    const double d = best_.h[static_cast<std::size_t>(problem_.pattern().column_start[i])];
    diagonal_[i] = std::max(diagonal_[i], d);
  }
}

DampedStep Fit::solve(double lambda, bool limited) {
  for (std::size_t i = 0; i < n_; ++i) {
    damping_[i] = lambda * diagonal_[i];
    low_[i] = lower_[i] - best_.x[i];
    high_[i] = upper_[i] - best_.x[i];
    if (limited && !max_step_.empty()) {
      low_[i] = std::max(low_[i], -max_step_[i]);
      high_[i] = std::min(high_[i], max_step_[i]);
    }
  }
  return solver_->step({best_.h, best_.g, damping_, low_, high_});
}

// What the linearisation at the best point says: scaling, projected gradient, full step.
void Fit::examine() {
  update_scaling();
  cosine_ = 0.0;
  influence_ = false;
  for (std::size_t i = 0; i < n_; ++i) {
    const double d = best_.h[static_cast<std::size_t>(problem_.pattern().column_start[i])];
    if (!(d > no_influence)) continue;
    influence_ = true;
    const bool shut = (best_.x[i] <= lower_[i] && best_.g[i] >= 0.0) ||
                      (best_.x[i] >= upper_[i] && best_.g[i] <= 0.0);
    if (!shut && best_.chi2 > 0.0) {
      cosine_ = std::max(cosine_, std::abs(best_.g[i]) / std::sqrt(d * best_.chi2));
    }
  }
  if (!influence_) return;
  for (double lambda = std::min(lambda_, full_step_lambda);; lambda *= 100.0) {
    full_ = solve(lambda, false);
    if (full_.status == Factorization::ok || lambda > 1.0) break;
  }
  full_norm_ = scaled_norm(full_.p);
}

// Decrease of chi2 not worth an evaluation.
double Fit::untried_decrease() const {
  const auto n_data = static_cast<double>(problem_.n_data());
  // A poor fit (or understated errors) is no reason to stop farther from its minimum.
  const double variance = n_data > 0.0 ? std::min(1.0, best_.chi2 / n_data) : 0.0;
  return options_.ftol * std::max(untried_ftol * best_.chi2, untried_data * variance);
}

// The tests at the best point, whose full step is known; trial_ is the step that led there, or one
// that was rejected there.
std::optional<Status> Fit::converged() const {
  const double chi2 = best_.chi2;
  // Residuals that fell to rounding of the initial ones: nothing is left to fit.
  if (chi2 <= 10.0 * epsilon * epsilon * start_chi2_) return Status::converged_ftol;
  if (full_.status != Factorization::ok) return std::nullopt;
  const double open_gain = full_.predicted / chi2;
  if (cosine_ <= options_.gtol &&
      open_gain <= std::max(options_.ftol, options_.gtol * options_.gtol)) {
    return Status::converged_gtol;
  }
  if (iteration_ == 0) return std::nullopt;
  // Where residuals are large and curved, the full step promises what no step can keep.
  if (n_small_ >= max_small_steps) return Status::converged_ftol;
  const bool tried = trial_.step.predicted <= options_.ftol * chi2 &&
                     std::abs(trial_.actual) <= options_.ftol * chi2;
  if (tried && open_gain <= options_.ftol) return Status::converged_ftol;
  if (trial_.accepted && std::abs(trial_.gain - 1.0) <= trusted_gain_error &&
      full_.predicted <= untried_decrease()) {
    return Status::converged_ftol;
  }
  const double small = options_.xtol * (scaled_norm(best_.x) + options_.xtol);
  if (trial_.accepted && trial_.norm <= small && full_norm_ <= small) {
    return Status::converged_xtol;
  }
  return std::nullopt;
}

// No shorter step can be tried, or none would be told from rounding.
Status Fit::stuck() const {
  if (n_finite_ == 0 && n_non_finite_ > 0) return Status::non_finite;
  if (full_.status != Factorization::ok) return Status::degenerate;
  if (full_.predicted <= options_.ftol * best_.chi2 || n_small_ > 0) return Status::converged_ftol;
  if (full_norm_ <= options_.xtol * scaled_norm(best_.x)) return Status::converged_xtol;
  return Status::no_decrease;
}

// Finds the least damped step no longer than max_norm_, from lambda_ upwards, and sets next_.x.
// False if there is none worth trying.
bool Fit::propose() {
  trial_ = {};
  // log lambda and log norm of the last step that was too long, for interpolation.
  double log_lambda = nan, log_norm = nan;
  for (int refinements = 0;;) {
    if (lambda_ > options_.max_lambda) return false;
    DampedStep step = solve(lambda_, true);
    const double norm = scaled_norm(step.p);
    const bool too_long = step.status != Factorization::ok || norm > max_norm_;
    if (!too_long) {
      trial_.step = std::move(step);
      trial_.norm = norm;
      trial_.lambda = lambda_;
      if (std::isnan(log_norm) || norm > 0.7 * max_norm_ || refinements == max_refinements) break;
    } else if (step.status == Factorization::ok) {
      log_lambda = std::log(lambda_);
      log_norm = std::log(norm);
    }
    if (trial_.norm > 0.0) {
      // Between one too long and one needlessly short.
      ++refinements;
      const double slope =
          (std::log(trial_.norm) - log_norm) / (std::log(trial_.lambda) - log_lambda);
      const double aim = log_lambda + (std::log(0.85 * max_norm_) - log_norm) / slope;
      if (!std::isfinite(aim) || refinements > max_refinements) break;
      lambda_ = std::exp(std::clamp(aim, log_lambda, std::log(trial_.lambda)));
    } else {
      lambda_ *= damping_growth;
    }
  }
  lambda_ = trial_.lambda;
  // A model decrease lost in rounding can be neither confirmed nor refuted.
  if (!(trial_.step.predicted > options_.chi2_noise * best_.chi2)) return false;
  bool moved = false;
  for (std::size_t i = 0; i < n_; ++i) {
    const double p = trial_.step.p[i];
    next_.x[i] = p <= lower_[i] - best_.x[i]   ? lower_[i]
                 : p >= upper_[i] - best_.x[i] ? upper_[i]
                                               : best_.x[i] + p;
    moved = moved || next_.x[i] != best_.x[i];
  }
  return moved;
}

void Fit::evaluate() {
  const bool at_once = chance_ > 1.0 - 1.0 / std::max(1.0, problem_.cost_ratio());
  bool usable = true;
  if (at_once) {
    usable = linearize(next_);
    trial_.linearized = true;
  } else {
    ++outcome_.n_chi2;
    next_.chi2 = problem_.chi2(next_.x);
  }
  trial_.chi2 = next_.chi2;
  if (!usable || !std::isfinite(trial_.chi2)) {
    ++n_non_finite_;
    return;
  }
  ++n_finite_;
  trial_.actual = best_.chi2 - trial_.chi2;
  trial_.gain = trial_.actual / trial_.step.predicted;
  trial_.accepted = trial_.gain > min_gain;
  if (trial_.accepted && !trial_.linearized) trial_.accepted = linearize(next_);
}

void Fit::commit() {
  std::swap(best_, next_);
  next_.x = best_.x;
  if (problem_.retract(next_.x) != 0) {
    for (std::size_t i = 0; i < n_; ++i) next_.x[i] = std::clamp(next_.x[i], lower_[i], upper_[i]);
    if (linearize(next_)) {
      std::swap(best_, next_);
      // Scales belong to the old chart.
      std::fill(diagonal_.begin(), diagonal_.end(), 0.0);
    }
  }
  n_finite_ = n_non_finite_ = 0;
}

void Fit::relax_damping() {
  const double gain = trial_.gain, error = std::abs(gain - 1.0);
  double factor = std::clamp(1.0 - std::pow(2.0 * gain - 1.0, 3), 1.0 / 3.0, 2.0);
  // A model this good needs hardly any damping; max_norm_ remembers where it was bad.
  if (error < 0.25) factor = 0.1;
  if (error < 0.05) factor = 0.01;
  const bool small = trial_.step.predicted <= options_.ftol * best_.chi2 &&
                     std::abs(trial_.actual) <= options_.ftol * best_.chi2;
  // While the model keeps its promises the damping falls, and longer steps are to come.
  n_small_ = small && error > 0.1 ? n_small_ + 1 : 0;
  lambda_ = std::max(options_.min_lambda, lambda_ * factor);
  growth_ = 2.0;
  if (std::isfinite(max_norm_)) {
    max_norm_ = trial_.norm * (gain > 0.75 ? 2.0 : gain > 0.25 ? 1.0 : 0.5);
  }
  chance_ = gain >= 0.25 ? 0.95 : 0.6;
}

void Fit::raise_damping() {
  // Minimum of the parabola through chi2, its slope and the failed trial.
  double shrink = 0.25;
  if (std::isfinite(trial_.actual)) {
    shrink = std::clamp(0.5 * trial_.step.slope / (trial_.step.slope + trial_.actual), 0.1, 0.5);
  }
  max_norm_ = shrink * trial_.norm;
  lambda_ *= growth_;
  growth_ *= 2.0;
  chance_ = 0.6;
}

void Fit::record() {
  IterationRecord r{.iteration = iteration_, .accepted = trial_.accepted, .chi2 = best_.chi2};
  r.trial_chi2 = trial_.chi2;
  r.predicted = trial_.step.predicted;
  r.gain_ratio = trial_.gain;
  r.lambda = trial_.lambda;
  r.step_norm = trial_.norm;
  r.gradient_cosine = cosine_;
  for (std::size_t i = 0; i < n_; ++i) r.n_bound += on_bound(i) ? 1 : 0;
  r.n_linearize = outcome_.n_linearize;
  r.n_chi2 = outcome_.n_chi2;
  r.time_s = elapsed();
  outcome_.history.push_back(r);
}

Status Fit::iterate() {
  if (n_ == 0) {
    ++outcome_.n_chi2;
    best_.chi2 = problem_.chi2(best_.x);
    return std::isfinite(best_.chi2) ? Status::no_free_parameters : Status::non_finite;
  }
  if (problem_.n_data() == 0) {
    best_.chi2 = 0.0;
    return Status::all_masked;
  }
  if (!all_finite(best_.x) || !linearize(best_)) return Status::non_finite;
  solver_.emplace(problem_.pattern(), options_.dense_max_size);
  start_chi2_ = best_.chi2;
  examine();
  trial_.accepted = true;
  trial_.chi2 = best_.chi2;
  record();
  problem_.progress(outcome_.history.back(), best_.x);
  if (!influence_) return Status::degenerate;
  if (const auto status = converged()) return *status;
  while (iteration_ < options_.max_iterations) {
    if (timed_out()) return Status::timed_out;
    if (!propose()) return stuck();
    ++iteration_;
    evaluate();
    if (trial_.accepted) {
      commit();
      relax_damping();
      examine();
    } else {
      raise_damping();
    }
    record();
    problem_.progress(outcome_.history.back(), best_.x);
    if (!influence_) return Status::degenerate;
    if (const auto status = converged()) return *status;
  }
  return Status::max_iterations;
}

FitOutcome Fit::finish(Status status) {
  outcome_.status = status;
  outcome_.message = describe(status);
  outcome_.at_bound.resize(n_);
  for (std::size_t i = 0; i < n_; ++i) outcome_.at_bound[i] = on_bound(i) ? 1 : 0;
  const bool linearized = solver_.has_value();
  if (linearized && options_.covariance) {
    Covariance c = covariance(problem_.pattern(), best_.h, outcome_.at_bound, options_);
    outcome_.covariance = std::move(c.matrix);
    outcome_.degenerate = std::move(c.degenerate);
  }
  outcome_.x = std::move(best_.x);
  outcome_.chi2 = best_.chi2;
  if (linearized) {
    outcome_.gradient = std::move(best_.g);
    outcome_.hessian = std::move(best_.h);
  }
  outcome_.time_s = elapsed();
  return std::move(outcome_);
}

FitOutcome Fit::run() {
  Status status = Status::interrupted;
  try {
    status = iterate();
  } catch (const Interrupt&) {
    // The best point is only ever replaced by a complete one, so it stands.
  }
  return finish(status);
}

}  // namespace

FitOutcome levenberg_marquardt(Problem& problem, std::vector<double> x0, const LMOptions& options) {
  return Fit(problem, std::move(x0), options).run();
}

}  // namespace jointlight
