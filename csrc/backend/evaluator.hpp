// SPDX-License-Identifier: BSD-3-Clause
// Many scenes evaluated together: what a device is good at.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "backend/backend.hpp"

namespace jointlight {

// What one scene asks for; the same as a Backend's chi2 and linearize.
struct EvaluationRequest {
  std::size_t scene = 0;  // index into those planned
  std::span<const TileState> states;
  bool derivatives = false;
  LaneSums* sums = nullptr;  // chi2 alone without derivatives
};

class Evaluator {
 public:
  virtual ~Evaluator() = default;

  // Pixels of all images that are enough to keep it busy.
  virtual std::size_t capacity() const = 0;
  // Takes as many of the scenes as its memory holds, from the first on, and says how many: 0 if the
  // first is too large. They must live until the next call. n_threads: of the host's, to help.
  virtual std::size_t plan(std::span<const Scene* const> scenes, int n_threads) = 0;
  // At most one request a scene; states and sums must stay where they are until finish(). Returns
  // before the work is done where something else can do it.
  virtual void start(std::span<const EvaluationRequest> requests) = 0;
  // Fills the sums of what was started.
  virtual void finish() = 0;
  virtual std::string describe() const = 0;
};

}  // namespace jointlight
