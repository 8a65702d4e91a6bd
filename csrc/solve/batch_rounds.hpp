// SPDX-License-Identifier: BSD-3-Clause
// Fits that wait for each other's evaluations: each runs as if it were alone until it asks for one,
// then all that were asked for are made together.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "backend/evaluator.hpp"

namespace jointlight {

// Makes backends of fits number 0 ... n - 1: called by fit number k, from within `fit`, once at
// most; a scene that is planned anew is evaluated elsewhere.
using SharedBackend =
    std::function<std::unique_ptr<Backend>(std::size_t k, std::shared_ptr<const Scene>)>;

struct RoundsReport {
  std::vector<std::string> failures;  // [evaluators] in its own words; empty: none
  std::vector<std::size_t> moved;     // fits that went on without their evaluator
};

// Calls fit(k, shared) for all k on n_threads; none may throw. Fits are dealt to the evaluators, of
// which some work while the threads go on with the fits of another. Where an evaluator fails, or a
// scene is too large for it, fits go on on the CPU from where they are. `waiting`: called in the
// caller's thread between fits and between rounds.
RoundsReport run_in_rounds(std::size_t n, int n_threads, std::span<Evaluator* const> evaluators,
                           const std::function<void(std::size_t, const SharedBackend&)>& fit,
                           const std::function<void()>& waiting);

}  // namespace jointlight
