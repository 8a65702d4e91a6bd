// SPDX-License-Identifier: BSD-3-Clause
#include "solve/scene_fit.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "solve/scene_problem.hpp"

namespace jointlight {
namespace {

constexpr int max_plans = 5;

// Record of a plan's fit as part of the whole fit.
IterationRecord continued(IterationRecord record, const FitOutcome& before) {
  record.iteration += before.history.empty() ? 0 : before.history.back().iteration;
  record.n_linearize += before.n_linearize;
  record.n_chi2 += before.n_chi2;
  record.time_s += before.time_s;
  return record;
}

// Appends a further plan's outcome to what came before it.
FitOutcome joined(FitOutcome outcome, FitOutcome before) {
  for (IterationRecord& record : outcome.history) record = continued(record, before);
  outcome.n_linearize += before.n_linearize;
  outcome.n_chi2 += before.n_chi2;
  outcome.time_s += before.time_s;
  if (!before.history.empty() && !outcome.history.empty()) {
    // Its start is where the last plan ended.
    outcome.history.erase(outcome.history.begin());
  }
  outcome.history.insert(outcome.history.begin(), before.history.begin(), before.history.end());
  return outcome;
}

}  // namespace

SceneFit fit_scene(std::shared_ptr<const Scene> scene, Backend& backend,
                   std::span<const double> start, const LMOptions& options,
                   const ProgressReport& progress, const Replanner& replan) {
  SceneFit result;
  result.natural.assign(start.begin(), start.end());
  FitOutcome before;
  std::unique_ptr<Backend> own;
  for (int plan = 1;; ++plan) {
    Backend& current = own ? *own : backend;
    SceneProblem problem(scene, current, true);
    const ParameterMap& map = scene->parameters();
    problem.on_progress = [&](const IterationRecord& record, std::span<const double> x) {
      progress(continued(record, before), map.to_natural(x));
    };
    LMOptions rest = options;  // less what earlier plans spent
    if (!before.history.empty()) rest.max_iterations -= before.history.back().iteration;
    if (options.time_limit_s > 0.0) {
      rest.time_limit_s = std::max(options.time_limit_s - before.time_s, 1e-3);
    }
    FitOutcome& outcome = result.outcome;
    std::vector<double> x = map.to_internal(result.natural);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (!std::isfinite(result.natural[i])) x[i] = std::numeric_limits<double>::quiet_NaN();
    }
    outcome = levenberg_marquardt(problem, std::move(x), rest);
    result.natural = map.to_natural(outcome.x);
    map.covariance_to_natural(outcome.x, outcome.covariance);
    result.n_pixels = scene->n_pixels();
    double chi2 = std::numeric_limits<double>::quiet_NaN();
    try {
      chi2 = problem.chi2(outcome.x);
    } catch (const Interrupt&) {
      outcome.status = Status::interrupted;
    }
    result.chi2_images = problem.chi2_images();
    if (!std::isfinite(chi2)) {
      std::fill(result.chi2_images.begin(), result.chi2_images.end(), chi2);
    }
    const bool again =
        std::isfinite(chi2) && plan < max_plans && outcome.status != Status::interrupted &&
        outcome.status != Status::timed_out && outcome.status != Status::max_iterations &&
        !scene->covers(problem.tile_states());
    outcome = joined(std::move(outcome), std::move(before));
    if (!again) return result;
    before = std::move(outcome);
    scene = std::make_shared<const Scene>(scene->respecified(result.natural));
    own = replan(scene);
  }
}

}  // namespace jointlight
