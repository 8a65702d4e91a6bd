// SPDX-License-Identifier: BSD-3-Clause
// Levenberg-Marquardt on one region: the state between evaluations, which the caller makes.
//
// Marquardt scaling by the running maximum of the diagonal (More 1978), Nielsen's (1999)
// continuous damping update, inside a box. The damping is one number a part of chi2 (a source), so
// that a source with a long way to go does not slow its neighbours; steps are accepted for the
// region as a whole, by its chi2.
//
// A rejected step never costs a Jacobian: the damping rises, by factorisations alone, until the
// step has shrunk by what the failed trial's parabola suggests. Convergence is judged on the full
// (practically undamped, bounds respected) step, so heavy damping cannot pass for it.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "solve/damped.hpp"
#include "solve/options.hpp"
#include "solve/region.hpp"
#include "solve/result.hpp"

namespace jointlight {

// The problem's box, and what it says at one point; views of the whole problem.
struct Box {
  std::span<const double> lower, upper, max_step;  // [n], max_step may be empty
};
struct Evaluation {
  std::span<const double> x, g, h, parts;  // g and h empty where only chi2 was asked for
};

class Descent {
 public:
  Descent(Region region, const Box& box, const LMOptions& options);

  // Some parts of `whole` go on from its best point while its others are held. `whole`, which
  // knows what a gain is worth, must outlive it.
  Descent(const Descent& whole, const Subregion& sub);

  static constexpr std::size_t idle_trials = 8;  // of which the decrease is watched
  // chi2 after each of the last trials; whether it falls too little to go on.
  const std::deque<double>& recent() const { return recent_; }
  bool idle(const std::deque<double>& recent, double chi2) const;

  // Parts that are not resting; what split_region() takes.
  std::vector<std::uint8_t> moving() const;

  // The whole goes on from where its subregions have got to; `at` has derivatives.
  void rejoin(std::span<const Subregion> subs, const std::deque<Descent>& descents,
              const std::deque<double>& recent, const Evaluation& at);
  // The same without an evaluation: derivatives between moving and held parts are old ones.
  void rejoin_unseen(std::span<const Subregion> subs, const std::deque<Descent>& descents);

  // Takes the start; afterwards status() may be set at once.
  void begin(const Evaluation& start);

  // Next trial point of this region into x; false, and a status, if there is none worth trying.
  bool propose(std::span<double> x, int iteration);

  // Whether the trial is better; if only chi2 was evaluated, accept() has yet to follow.
  bool judge(const Evaluation& trial);
  // Makes the trial the best point (false, and rejected, if its derivatives are not finite), or
  // not. Then examines convergence.
  void settle(const Evaluation& trial, bool accepted);

  // The problem is drawn anew: looks at its best point again, in new coordinates. What had ended
  // well and is as good as before stays so.
  void renew(const Box& box, const Evaluation& at);

  const std::optional<Status>& status() const { return status_; }
  void end(Status status) { status_ = status; }

  const Region& region() const { return region_; }
  std::span<const double> x() const { return best_.x; }
  std::span<const double> g() const { return best_.g; }
  std::span<const double> h() const { return best_.h; }
  double chi2() const { return best_.chi2; }
  double chi2_part(std::size_t k) const { return best_.parts[k]; }
  double variance() const;
  bool stalled(std::size_t k) const { return dampings_[k].stalled; }
  bool full_step_known() const { return full_.status == Factorization::ok; }
  bool many() const { return dampings_.size() >= many_parts; }
  bool on_bound(std::size_t i) const { return best_.x[i] <= lower_[i] || best_.x[i] >= upper_[i]; }

  // Of one part: as the region, unless that failed and this part has nothing left to gain.
  Status part_status(std::size_t k) const;

  // Of the last trial.
  double predicted() const { return trial_.step.predicted; }
  double actual() const { return trial_.actual; }
  double trial_chi2() const { return trial_.chi2; }
  double step_norm() const { return trial_.norm; }
  double lambda() const { return trial_.lambda; }
  double cosine() const { return cosine_; }
  bool accepted() const { return trial_.accepted; }
  double chance() const { return chance_; }
  int last_trial() const { return last_trial_; }  // iteration of it

 private:
  // From here on, solves are dear and single parts are worth sending back (descent_parts.cpp).
  static constexpr std::size_t many_parts = 8;

  struct Point {
    std::vector<double> x, g, h, parts;
    double chi2 = std::numeric_limits<double>::quiet_NaN();
  };
  struct Trial {
    DampedStep step;
    double lambda = 0.0;  // largest
    double norm = 0.0;    // |D p|
    double chi2 = std::numeric_limits<double>::quiet_NaN();
    double actual = std::numeric_limits<double>::quiet_NaN();
    double gain = std::numeric_limits<double>::quiet_NaN();
    bool accepted = false;
  };
  // One part's damping and what is known of its step.
  struct Damping {
    double lambda = 0.0;
    double growth = 2.0;                                        // Nielsen's nu
    double max_norm = std::numeric_limits<double>::infinity();  // of the next |D p|
    double norm = 0.0, predicted = 0.0, slope = 0.0;            // of the trial
    double gain = 0.0;                                          // ratio at the last accepted step
    double full_norm = 0.0, full_predicted = 0.0;               // of the full step
    bool resting = false;                                       // not moved in this trial
    int n_faint = 0;              // consecutive steps with next to nothing to gain
    bool stalled = false;         // so many that it is left where it is
    std::vector<int> neighbours;  // parts that it is blended with, itself included
    std::vector<int> touching;    // parts that share pixels with it, itself included
  };

  void set_box(const Box& box);
  void take(const Evaluation& at, Point& point) const;
  static bool usable(const Point& point);
  bool single() const { return dampings_.size() == 1; }
  std::size_t home(std::size_t i) const { return static_cast<std::size_t>(region_.home[i]); }
  void update_scaling();
  DampedStep solve(bool limited);
  double scaled_norm(std::span<const double> v) const;
  void find_touching();
  void find_neighbours();
  void measure_parts(const DampedStep& step, bool full);
  void choose_resting();
  bool wake();
  bool search();
  bool search_many();
  bool try_new_step();
  double neighbourhood_gain(std::size_t k) const;
  void relax_damping();
  void raise_damping();
  void find_stalled();
  void start_afresh(Damping& d) const;
  bool try_afresh();
  static double faint_gain(std::size_t n_parts);
  double idle_gain() const;
  void raise_part(std::size_t k, double loss);
  double loss(std::size_t k) const;
  std::vector<std::uint8_t> blamed(double& losses) const;
  bool plan_repair();
  void repair();
  double open_gain() const;
  void examine();
  std::optional<Status> converged() const;
  void conclude();
  void adopt(std::span<const Subregion> subs, const std::deque<Descent>& descents);
  double tolerance_chi2() const { return whole_ != nullptr ? whole_->best_.chi2 : best_.chi2; }
  double untried_decrease() const;
  double faint() const { return variance() * faint_gain_; }
  Status stuck() const;

  Region region_;
  const LMOptions& options_;
  const Descent* whole_ = nullptr;                // of which this is a subregion
  std::vector<double> lower_, upper_, max_step_;  // [n], max_step_ may be empty
  Point best_, next_;
  Trial trial_;
  std::vector<Damping> dampings_;  // [parts]
  double faint_gain_;              // of chi2 over its variance, not worth a step of one part
  DampedSolver solver_;
  std::vector<double> diagonal_;              // [n] running maximum of diag H
  std::vector<double> damping_, low_, high_;  // [n] arguments of the last solve
  std::vector<double> work_;                  // [n]
  std::vector<std::uint8_t> undo_;            // [parts] 1: goes back in the trial to come; or empty
  std::deque<double> recent_;                 // chi2 after each of the last trials
  std::optional<Status> status_;
  int n_trials_ = 0, last_trial_ = 0;
  int n_fresh_ = 0;          // fresh starts
  double fresh_chi2_ = 0.0;  // at the last one
  int n_small_ = 0;          // consecutive accepted steps below ftol, poorly predicted
  int n_rejected_ = 0;       // consecutive
  double chance_ = 0.8;      // guessed probability that the next trial is accepted
  int n_finite_ = 0;         // trials since the last accepted point with a finite chi2
  int n_non_finite_ = 0;     // and without
  DampedStep full_;          // full step at the best point
  double full_norm_ = 0.0;
  double cosine_ = 0.0;     // gradient cosine at the best point
  bool influence_ = false;  // some coordinate moves the model
  double start_chi2_ = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace jointlight
