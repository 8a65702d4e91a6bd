// SPDX-License-Identifier: BSD-3-Clause
// One fit of a compiled scene, in natural parameters. A source that ends far from where the boxes
// were planned for it gets a new plan, and the fit goes on from there.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.hpp"
#include "solve/lm.hpp"
#include "solve/normal_layout.hpp"

namespace jointlight {

// A scene with what evaluates it.
struct Plan {
  std::shared_ptr<const Scene> scene;
  std::shared_ptr<const NormalLayout> layout;
  Backend* backend = nullptr;
};

struct SceneFit {
  FitOutcome outcome;           // internal coordinates; covariances in natural ones
  std::vector<double> natural;  // [n_free]
  std::vector<double> chi2_tiles;
  std::vector<long> n_pixels_tiles;  // that count, of those each tile owns
  Plan plan;                         // the last one
  // [sources] a status' name, or "fixed" (nothing of it is free), "no_data" (no pixel that counts
  // in its windows), "lost" (wandered where it cannot be drawn)
  std::vector<std::string> source_status;
};

using ProgressReport = std::function<void(const IterationRecord&, const std::vector<double>&)>;
// Makes the plan for a scene and keeps its backend alive until the next one is made.
using Replanner = std::function<Plan(std::shared_ptr<const Scene>)>;

// active: [n_free], zero where a parameter is held; empty = all move.
SceneFit fit_scene(const Plan& plan, std::span<const double> start,
                   std::span<const std::uint8_t> active, const LMOptions& options,
                   const ProgressReport& progress, const Replanner& replan);

// Columns of the covariance of the natural parameters at `natural`, [k][n_free]; NaN for held ones.
std::vector<double> natural_covariance_columns(const Plan& plan, std::span<const double> natural,
                                               std::span<const std::uint8_t> held,
                                               std::span<const int> indices,
                                               const LMOptions& options);

}  // namespace jointlight
