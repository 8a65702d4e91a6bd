// SPDX-License-Identifier: BSD-3-Clause
// Levenberg-Marquardt with box bounds, every independent region of a problem on its own terms.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "solve/options.hpp"
#include "solve/problem.hpp"
#include "solve/result.hpp"

namespace jointlight {

// Minimises problem.chi2 from x0 (moved into the box if outside). active: [n], zero where a
// coordinate stays as it is; empty = all move. Throws std::invalid_argument if sizes disagree, a
// bound is NaN or lower > upper; every outcome of the fit itself is a status.
FitOutcome levenberg_marquardt(Problem& problem, std::vector<double> x0,
                               const LMOptions& options = {},
                               std::span<const std::uint8_t> active = {});

}  // namespace jointlight
