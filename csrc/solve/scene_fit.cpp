// SPDX-License-Identifier: BSD-3-Clause
#include "solve/scene_fit.hpp"

#include "solve/scene_problem.hpp"

namespace jointlight {
namespace {

constexpr int max_plans = 5;

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
      progress(record, map.to_natural(x));
    };
    FitOutcome& outcome = result.outcome;
    outcome = levenberg_marquardt(problem, map.to_internal(result.natural), options);
    result.natural = map.to_natural(outcome.x);
    map.covariance_to_natural(outcome.x, outcome.covariance);
    problem.chi2(outcome.x);
    result.chi2_images = problem.chi2_images();
    result.n_pixels = scene->n_pixels();
    outcome.n_linearize += before.n_linearize;
    outcome.n_chi2 += before.n_chi2;
    outcome.time_s += before.time_s;
    outcome.history.insert(outcome.history.begin(), before.history.begin(), before.history.end());
    if (plan == max_plans || outcome.status == Status::interrupted ||
        outcome.status == Status::timed_out || scene->covers(problem.tile_states())) {
      return result;
    }
    before = std::move(outcome);
    scene = std::make_shared<const Scene>(scene->respecified(result.natural));
    own = replan(scene);
  }
}

}  // namespace jointlight
