// SPDX-License-Identifier: BSD-3-Clause
// Regions take their trial steps together, one evaluation of the problem for all, and accept,
// reject and converge apart: a hard one never holds up the others.
#include "solve/lm.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <deque>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/fiber.hpp"
#include "solve/component.hpp"
#include "solve/covariance.hpp"

namespace jointlight {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// How bad a region's end is for the whole, worst last.
int severity(Status status) {
  switch (status) {
    case Status::no_free_parameters:
    case Status::all_masked:
    case Status::degenerate:
      return 0;  // nothing to do there; the others decide
    case Status::converged_gtol:
      return 1;
    case Status::converged_xtol:
      return 2;
    case Status::converged_ftol:
      return 3;
    case Status::max_iterations:
      return 4;
    case Status::no_decrease:
      return 5;
    case Status::non_finite:
      return 6;
    case Status::timed_out:
      return 7;
    case Status::interrupted:
      return 8;
  }
  return 8;
}

class Fit {
 public:
  Fit(Problem& problem, std::vector<double> x0, const LMOptions& options,
      std::span<const std::uint8_t> active);
  FitOutcome run();

 private:
  struct Point {
    std::vector<double> x, g, h, parts;
    Evaluation view(bool derivatives) const {
      return {x, derivatives ? std::span<const double>(g) : std::span<const double>(),
              derivatives ? std::span<const double>(h) : std::span<const double>(), parts};
    }
  };

  void iterate();
  void evaluate(Point& point, bool derivatives);
  void divide_among(std::span<const Descent* const> trying);
  void step(std::vector<Descent*>& trying, bool returning);
  void share_time(const std::vector<Component*>& at_work, double since);
  void record(std::span<Descent* const> trying);
  void keep(const Descent& d);
  void unite();
  void read_box();
  Box box() const { return {lower_, upper_, max_step_}; }
  bool renew(bool ended);
  double chi2() const;
  void end_open(Status status);
  bool timed_out() const {
    return options_.time_limit_s > 0.0 && elapsed() > options_.time_limit_s;
  }
  double elapsed() const {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
    return passed.count() - (Fiber::waited() - waited_);
  }
  Status whole_status() const;
  FitOutcome finish();

  Problem& problem_;
  const LMOptions& options_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const double waited_ = Fiber::waited();  // by then, for other fits
  const std::size_t n_;
  std::vector<double> lower_, upper_, max_step_;  // [n], max_step_ may be empty
  std::vector<std::uint8_t> active_;              // [n]
  std::vector<int> group_;                        // [n] region that is being tried, -1 = none
  Point best_, trial_;
  std::deque<Component> components_;
  std::vector<std::uint8_t> free_part_;  // [parts] 1: belongs to a component
  bool linearized_ = false, trial_linearized_ = false;
  std::optional<Status> status_;  // of the whole, where regions do not decide
  int iteration_ = 0;
  FitOutcome outcome_;
};

Fit::Fit(Problem& problem, std::vector<double> x0, const LMOptions& options,
         std::span<const std::uint8_t> active)
    : problem_(problem), options_(options), n_(x0.size()) {
  read_box();
  if (problem.size() != static_cast<int>(n_) || lower_.size() != n_ || upper_.size() != n_ ||
      problem.pattern().n != problem.size() || (!max_step_.empty() && max_step_.size() != n_) ||
      (!active.empty() && active.size() != n_)) {
    throw std::invalid_argument("fit: sizes of start, bounds, pattern and active set disagree");
  }
  for (std::size_t i = 0; i < n_; ++i) {
    if (!(lower_[i] <= upper_[i])) {
      throw std::invalid_argument("fit: lower bound above upper bound, or NaN, at coordinate " +
                                  std::to_string(i));
    }
    x0[i] = std::clamp(x0[i], lower_[i], upper_[i]);
  }
  active_.assign(n_, 1);
  if (!active.empty()) active_.assign(active.begin(), active.end());
  group_.assign(n_, -1);
  const auto n_parts = static_cast<std::size_t>(problem.n_parts());
  best_ = {std::move(x0), std::vector<double>(n_),
           std::vector<double>(problem.pattern().row.size()), std::vector<double>(n_parts, nan)};
  trial_ = best_;
}

void Fit::read_box() {
  const auto lower = problem_.lower(), upper = problem_.upper(), max_step = problem_.max_step();
  lower_.assign(lower.begin(), lower.end());
  upper_.assign(upper.begin(), upper.end());
  max_step_.assign(max_step.begin(), max_step.end());
}

void Fit::evaluate(Point& point, bool derivatives) {
  double total = nan;
  if (derivatives) {
    ++outcome_.n_linearize;
    total = problem_.linearize(point.x, point.g, point.h);
    problem_.refine(group_, point.x, point.g, point.h);
  } else {
    ++outcome_.n_chi2;
    total = problem_.chi2(point.x);
  }
  const std::span<const double> parts = problem_.parts();
  if (parts.empty()) {
    point.parts.assign(point.parts.size(), total);
  } else {
    point.parts.assign(parts.begin(), parts.end());
  }
}

// chi2 at the regions' best points, and of the parts that are in none.
double Fit::chi2() const {
  double sum = 0.0;
  for (std::size_t p = 0; p < best_.parts.size(); ++p) {
    if (free_part_[p] == 0) sum += best_.parts[p];
  }
  for (const Component& c : components_) sum += c.chi2();
  return sum;
}

void Fit::record(std::span<Descent* const> trying) {
  IterationRecord r{.iteration = iteration_, .chi2 = chi2()};
  double actual = 0.0, square = 0.0;
  r.trial_chi2 = r.chi2;
  for (const Component& c : components_)
    r.gradient_cosine = std::max(r.gradient_cosine, c.cosine());
  for (std::size_t i = 0; i < n_; ++i) {
    const bool on_bound = best_.x[i] <= lower_[i] || best_.x[i] >= upper_[i];
    r.n_bound += on_bound && active_[i] != 0 ? 1 : 0;
  }
  r.accepted = trying.empty();  // where nothing moved, components came together
  for (const Descent* d : trying) {
    r.trial_chi2 += d->trial_chi2() - d->chi2();
    r.accepted = r.accepted || d->accepted();
    r.predicted += d->predicted();
    actual += d->actual();
    square += d->step_norm() * d->step_norm();
    r.lambda = std::max(r.lambda, d->lambda());
  }
  r.gain_ratio = trying.empty() ? nan : actual / r.predicted;
  r.step_norm = std::sqrt(square);
  r.n_linearize = outcome_.n_linearize;
  r.n_chi2 = outcome_.n_chi2;
  r.time_s = elapsed();
  outcome_.history.push_back(r);
}

void Fit::end_open(Status status) {
  for (Component& c : components_) {
    if (c.open()) c.end(status);
  }
}

// Best coordinates so far.
void Fit::keep(const Descent& d) {
  for (std::size_t i = 0; i < d.x().size(); ++i) {
    best_.x[static_cast<std::size_t>(d.region().coordinates[i])] = d.x()[i];
  }
}

// Coordinates that may move, by region.
void Fit::divide_among(std::span<const Descent* const> trying) {
  std::fill(group_.begin(), group_.end(), -1);
  for (std::size_t k = 0; k < trying.size(); ++k) {
    for (const int i : trying[k]->region().coordinates) {
      group_[static_cast<std::size_t>(i)] = static_cast<int>(k);
    }
  }
}

// One trial of every region in `trying`, whose proposals are in trial_.x.
void Fit::step(std::vector<Descent*>& trying, bool returning) {
  divide_among(trying);
  double chance = 0.0;
  for (const Descent* d : trying) chance = std::max(chance, d->chance());
  const bool at_once = returning || chance > 1.0 - 1.0 / std::max(1.0, problem_.cost_ratio());
  evaluate(trial_, at_once);
  std::vector<std::uint8_t> better;
  bool any = false;
  for (Descent* d : trying) {
    better.push_back(d->judge(trial_.view(at_once)) ? 1 : 0);
    any = any || better.back() != 0;
  }
  if (!at_once && any) {
    for (std::size_t k = 0; k < trying.size(); ++k) {
      if (better[k] != 0) continue;
      const Descent& d = *trying[k];
      for (std::size_t i = 0; i < d.x().size(); ++i) {
        trial_.x[static_cast<std::size_t>(d.region().coordinates[i])] = d.x()[i];
      }
    }
    // A rejected region compares the parts of its trial.
    const std::vector<double> parts = trial_.parts;
    evaluate(trial_, true);
    for (std::size_t k = 0; k < trying.size(); ++k) {
      if (better[k] == 0) trying[k]->settle({trial_.x, {}, {}, parts}, false);
    }
  }
  for (std::size_t k = 0; k < trying.size(); ++k) {
    if (better[k] != 0 || at_once || !any) trying[k]->settle(trial_.view(true), better[k] != 0);
  }
  trial_linearized_ = at_once || any;
}

void Fit::share_time(const std::vector<Component*>& at_work, double since) {
  const auto size = [](const Component& c) {
    return 1.0 + static_cast<double>(std::max(c.whole().region().n_data, 0L));
  };
  double total = 0.0;
  for (const Component* c : at_work) total += size(*c);
  for (Component* c : at_work) {
    c->time_s += size(*c) / total * (elapsed() - since);
    const double limit = options_.component_time_limit_s;
    if (c->open() && limit > 0.0 && c->time_s > limit) c->end(Status::timed_out);
  }
}

void Fit::iterate() {
  const bool any_active =
      std::any_of(active_.begin(), active_.end(), [](std::uint8_t a) { return a != 0; });
  if (!any_active) {
    free_part_.assign(best_.parts.size(), 0);
    evaluate(best_, false);
    status_ = std::isfinite(chi2()) ? Status::no_free_parameters : Status::non_finite;
    return;
  }
  free_part_.assign(best_.parts.size(), 0);
  for (Region& region : find_regions(problem_, active_)) {
    for (const int part : region.parts) free_part_[static_cast<std::size_t>(part)] = 1;
    components_.emplace_back(std::move(region), box(), options_);
  }
  std::vector<const Descent*> all;
  for (const Component& c : components_) all.push_back(&c.whole());
  divide_among(all);
  evaluate(best_, true);
  for (Component& c : components_) c.begin(best_.view(true));
  linearized_ = true;
  record({});
  problem_.progress(outcome_.history.back(), best_.x);
  while (iteration_ < options_.max_iterations) {
    if (timed_out()) return end_open(Status::timed_out);
    trial_.x = best_.x;
    const double since = elapsed();
    std::vector<Descent*> trying;
    std::vector<Component*> at_work;
    bool returning = false;
    for (Component& c : components_) {
      if (!c.open()) continue;
      c.propose(trial_.x, iteration_ + 1, trying);
      if (c.open()) at_work.push_back(&c);
      returning = returning || c.returning();
    }
    if (at_work.empty()) {
      if (!renew(true)) return;
      continue;
    }
    ++iteration_;
    step(trying, returning);
    for (const Descent* d : trying) keep(*d);
    record(trying);
    for (Component* c : at_work) {
      c->observe(trial_.view(trial_linearized_), iteration_);
      if (!c->divided()) keep(c->whole());
    }
    share_time(at_work, since);
    problem_.progress(outcome_.history.back(), best_.x);
    renew(false);
  }
  end_open(Status::max_iterations);
}

// True if the problem is drawn anew and the fit goes on.
bool Fit::renew(bool ended) {
  const auto success = [](const Component& c) {
    return c.whole().status() && is_success(*c.whole().status());
  };
  if (ended && std::none_of(components_.begin(), components_.end(), success)) return false;
  if (!problem_.renew(best_.x, ended)) return false;
  unite();
  read_box();
  divide_among({});
  for (std::size_t i = 0; i < n_; ++i) best_.x[i] = std::clamp(best_.x[i], lower_[i], upper_[i]);
  evaluate(best_, true);
  for (Component& c : components_) c.renew(box(), best_.view(true));
  return true;
}

// Where a limit ended the fit, components may be divided still.
void Fit::unite() {
  const auto divided = [](const Component& c) { return c.divided(); };
  if (std::none_of(components_.begin(), components_.end(), divided)) return;
  bool seen = true;
  divide_among({});
  try {
    trial_.x = best_.x;
    evaluate(trial_, true);
  } catch (const Interrupt&) {
    seen = false;
  }
  const Evaluation at = trial_.view(true);
  for (Component& c : components_) {
    if (!c.divided()) continue;
    const std::optional<Status> status = c.whole().status();
    c.unite(seen ? &at : nullptr);
    if (status) c.end(*status);
    keep(c.whole());
  }
}

Status Fit::whole_status() const {
  if (status_) return *status_;
  Status worst = Status::no_free_parameters;
  bool all_idle = true, all_masked = true;
  for (const Component& c : components_) {
    const Status s = c.whole().status().value_or(Status::interrupted);
    all_idle = all_idle && severity(s) == 0;
    all_masked = all_masked && s == Status::all_masked;
    if (severity(s) >= severity(worst)) worst = s;
  }
  return all_masked ? Status::all_masked : all_idle ? Status::degenerate : worst;
}

FitOutcome Fit::finish() {
  unite();
  outcome_.status = whole_status();
  outcome_.message = describe(outcome_.status);
  outcome_.at_bound.assign(n_, 0);
  outcome_.component.assign(n_, -1);
  outcome_.part_status.assign(best_.parts.size(), Status::no_free_parameters);
  outcome_.chi2 = chi2();
  for (std::size_t r = 0; r < components_.size(); ++r) {
    const Descent& d = components_[r].whole();
    const Region& region = d.region();
    outcome_.component_status.push_back(d.status().value_or(Status::interrupted));
    for (std::size_t i = 0; i < region.coordinates.size(); ++i) {
      const auto c = static_cast<std::size_t>(region.coordinates[i]);
      outcome_.component[c] = static_cast<int>(r);
      outcome_.at_bound[c] = d.on_bound(i) ? 1 : 0;
      if (linearized_) best_.g[c] = d.g()[i];
    }
    for (std::size_t k = 0; linearized_ && k < region.entries.size(); ++k) {
      best_.h[static_cast<std::size_t>(region.entries[k])] = d.h()[k];
    }
    for (std::size_t k = 0; k < region.parts.size(); ++k) {
      outcome_.part_status[static_cast<std::size_t>(region.parts[k])] = d.part_status(k);
    }
  }
  if (linearized_ && options_.covariance) {
    std::vector<std::uint8_t> held = outcome_.at_bound;
    for (std::size_t i = 0; i < n_; ++i) {
      if (active_[i] == 0) held[i] = 1;
    }
    for (const int i : problem_.meaningless(best_.x)) held[static_cast<std::size_t>(i)] = 1;
    Covariance c = covariance(problem_.pattern(), best_.h, held, options_);
    outcome_.covariance = std::move(c.matrix);
    outcome_.sparse_covariance = std::move(c.sparse);
    outcome_.degenerate = std::move(c.degenerate);
  }
  outcome_.x = std::move(best_.x);
  if (linearized_) {
    outcome_.gradient = std::move(best_.g);
    outcome_.hessian = std::move(best_.h);
  }
  outcome_.time_s = elapsed();
  return std::move(outcome_);
}

FitOutcome Fit::run() {
  try {
    iterate();
  } catch (const Interrupt&) {
    // A region's best point is only ever replaced by a complete one, so it stands.
    status_ = Status::interrupted;
    end_open(Status::interrupted);
  }
  return finish();
}

}  // namespace

FitOutcome levenberg_marquardt(Problem& problem, std::vector<double> x0, const LMOptions& options,
                               std::span<const std::uint8_t> active) {
  return Fit(problem, std::move(x0), options, active).run();
}

}  // namespace jointlight
