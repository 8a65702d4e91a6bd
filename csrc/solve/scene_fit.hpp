// SPDX-License-Identifier: BSD-3-Clause
// One fit of a compiled scene, in natural parameters. A source that ends far from where the boxes
// were planned for it gets a new plan, and the fit goes on from there.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.hpp"
#include "solve/lm.hpp"

namespace jointlight {

struct SceneFit {
  FitOutcome outcome;           // internal coordinates; covariance in natural ones
  std::vector<double> natural;  // [n_free]
  std::vector<double> chi2_images;
  std::vector<long> n_pixels;  // that count, per image
};

using ProgressReport = std::function<void(const IterationRecord&, const std::vector<double>&)>;
using Replanner = std::function<std::unique_ptr<Backend>(std::shared_ptr<const Scene>)>;

SceneFit fit_scene(std::shared_ptr<const Scene> scene, Backend& backend,
                   std::span<const double> start, const LMOptions& options,
                   const ProgressReport& progress, const Replanner& replan);

}  // namespace jointlight
