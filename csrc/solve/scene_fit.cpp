// SPDX-License-Identifier: BSD-3-Clause
#include "solve/scene_fit.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "base/error.hpp"
#include "solve/covariance.hpp"
#include "solve/scene_problem.hpp"

namespace jointlight {
namespace {

constexpr int max_plans = 8;

// Iteration after which the plan is looked at for the first time before the fit has ended, when
// most of the way is behind. Again when as many have been made as at the last look, times this.
constexpr int first_look = 8, look_growth = 8;

// Covariance of the pattern's pairs, charts folded out.
void sparse_to_natural(const ParameterMap& map, const SparsePattern& pattern,
                       std::span<const double> x, std::vector<double>& values) {
  const std::vector<double> internal = values;
  const auto entry = [&](int i, int j) {
    const int at = pattern.find(i, j);
    return at < 0 ? std::numeric_limits<double>::quiet_NaN()
                  : internal[static_cast<std::size_t>(at)];
  };
  for (int j = 0; j < pattern.n && !values.empty(); ++j) {
    for (int k = pattern.diagonal(j); k < pattern.diagonal(j + 1); ++k) {
      const auto at = static_cast<std::size_t>(k);
      values[at] = map.natural_covariance(x, pattern.row[at], j, entry);
    }
  }
}

// The coordinates of a chart have no meaning of their own: they are held together or not at all.
void require_whole_charts(const ParameterMap& map, std::span<const std::uint8_t> active) {
  for (const std::vector<int>& group : map.chart_groups()) {
    for (const int i : group) {
      const auto at = static_cast<std::size_t>(i), first = static_cast<std::size_t>(group[0]);
      require((active[at] != 0) == (active[first] != 0), "active: parameters ", group[0], " and ",
              i, " describe one ellipse and must be held together");
    }
  }
}

// Calls visit(value, i, j) for every entry of a covariance, dense or of the pattern's pairs.
template <class Visit>
void each_entry(const SparsePattern& pattern, std::vector<double>& dense,
                std::vector<double>& sparse, const Visit& visit) {
  const auto n = static_cast<std::size_t>(pattern.n);
  for (std::size_t k = 0; k < dense.size(); ++k) {
    visit(dense[k], static_cast<int>(k / n), static_cast<int>(k % n));
  }
  for (int j = 0; j < pattern.n && !sparse.empty(); ++j) {
    for (int k = pattern.diagonal(j); k < pattern.diagonal(j + 1); ++k) {
      const auto at = static_cast<std::size_t>(k);
      visit(sparse[at], pattern.row[at], j);
    }
  }
}

// Covariances of charts -> of natural parameters. What a pinned ellipse's held coordinate does to
// the others is nothing; its axis ratio is at a limit and has no error.
void to_natural(const ParameterMap& map, const SparsePattern& pattern, FitOutcome& outcome) {
  const auto pinned = map.pinned(outcome.x);
  std::vector<std::uint8_t> held(outcome.x.size(), 0), limit(outcome.x.size(), 0);
  for (const auto& pin : pinned) {
    held[static_cast<std::size_t>(pin.held)] = 1;
    limit[static_cast<std::size_t>(pin.q)] = 1;
    outcome.at_bound[static_cast<std::size_t>(pin.q)] = 1;
  }
  const auto either = [](const std::vector<std::uint8_t>& set, int i, int j) {
    return set[static_cast<std::size_t>(i)] != 0 || set[static_cast<std::size_t>(j)] != 0;
  };
  if (!pinned.empty()) {
    each_entry(pattern, outcome.covariance, outcome.sparse_covariance,
               [&](double& value, int i, int j) {
                 if (either(held, i, j)) value = 0.0;
               });
  }
  map.covariance_to_natural(outcome.x, outcome.covariance);
  sparse_to_natural(map, pattern, outcome.x, outcome.sparse_covariance);
  if (!pinned.empty()) {
    each_entry(pattern, outcome.covariance, outcome.sparse_covariance,
               [&](double& value, int i, int j) {
                 if (either(limit, i, j)) value = std::numeric_limits<double>::quiet_NaN();
               });
  }
}

bool has_data(const Scene& scene, const TileSpec& tile) {
  const ImageSpec& image = scene.images()[static_cast<std::size_t>(tile.image)];
  for (int y = tile.y_begin; y < tile.y_end; ++y) {
    const double* row = image.weight.data() + static_cast<std::ptrdiff_t>(y) * image.width;
    if (std::any_of(row + tile.x_begin, row + tile.x_end, [](double w) { return w > 0.0; })) {
      return true;
    }
  }
  return false;
}

// Half a window or more outside of it.
bool far_outside(const TileView& view, const TileState& state) {
  const auto off = [](double at, int size) { return at < -0.5 * size || at > 1.5 * size; };
  return off(state.x0, view.width) || off(state.y0, view.height);
}

std::vector<std::string> source_statuses(const Plan& plan, const std::vector<TileState>& states,
                                         std::span<const std::uint8_t> active,
                                         const FitOutcome& outcome) {
  const Scene& scene = *plan.scene;
  const auto n = static_cast<std::size_t>(plan.layout->n_sources);
  std::vector<int> coordinate(n, -1);  // one that moves, its own for preference
  std::vector<std::uint8_t> data(n, 0), drawn(n, 0);
  for (std::size_t t = 0; t < states.size(); ++t) {
    const TileSpec& tile = scene.tiles()[t];
    const auto source = static_cast<std::size_t>(tile.source);
    for (const int i : plan.layout->tiles[t].free) {
      const auto at = static_cast<std::size_t>(i);
      const bool own = plan.layout->home[at] == tile.source;
      if (active[at] != 0 && (own || coordinate[source] < 0)) coordinate[source] = i;
    }
    const TileView& view = scene.views()[t];
    const bool here =
        view.renderer == Renderer::sky || (states[t].visible && !far_outside(view, states[t]));
    if (here) drawn[source] = 1;
    if (data[source] == 0 && has_data(scene, tile)) data[source] = 1;
  }
  std::vector<std::string> names;
  for (std::size_t s = 0; s < n; ++s) {
    const auto i = static_cast<std::size_t>(coordinate[s]);
    if (coordinate[s] < 0) {
      names.emplace_back("fixed");
      continue;
    }
    const bool own = plan.layout->home[i] == static_cast<int>(s);
    const auto component = static_cast<std::size_t>(outcome.component[i]);
    const Status status = own ? outcome.part_status[s] : outcome.component_status[component];
    if (data[s] == 0) {
      names.emplace_back("no_data");
    } else if (drawn[s] == 0 && status != Status::non_finite) {
      names.emplace_back("lost");
    } else {
      names.emplace_back(to_string(status));
    }
  }
  return names;
}

}  // namespace

SceneFit fit_scene(const Plan& plan, std::span<const double> start,
                   std::span<const std::uint8_t> active, const LMOptions& options,
                   const ProgressReport& progress, const Replanner& replan) {
  SceneFit result;
  result.natural.assign(start.begin(), start.end());
  result.plan = plan;
  std::vector<std::uint8_t> moves(start.size(), 1);
  if (!active.empty()) moves.assign(active.begin(), active.end());
  require_whole_charts(plan.scene->parameters(), moves);
  SceneProblem problem(plan.scene, plan.layout, *plan.backend, true);
  // Natural parameters at x, those that moved.
  const auto to_natural_at = [&](std::span<const double> x) {
    const ParameterMap& map = result.plan.scene->parameters();
    const std::vector<double> natural = map.to_natural(x);
    for (std::size_t i = 0; i < natural.size(); ++i) {
      if (moves[i] != 0) result.natural[i] = map.at_limit(static_cast<int>(i), natural[i]);
    }
  };
  // NaN stays NaN through the charts.
  const auto to_internal = [&] {
    std::vector<double> x = result.plan.scene->parameters().to_internal(result.natural);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (!std::isfinite(result.natural[i])) x[i] = std::numeric_limits<double>::quiet_NaN();
    }
    return x;
  };
  int n_plans = 1, iteration = 0, next_look = first_look;
  problem.on_progress = [&](const IterationRecord& record, std::span<const double> x) {
    iteration = record.iteration;
    progress(record, result.plan.scene->parameters().to_natural(x));
  };
  problem.on_renew = [&](std::span<double> x, bool ended) {
    if (n_plans == max_plans || (!ended && iteration < next_look)) return false;
    if (!ended) next_look *= look_growth;
    const Scene& scene = *result.plan.scene;
    if (scene.covers(problem.place(x))) return false;
    ++n_plans;
    to_natural_at(x);
    result.plan = replan(std::make_shared<const Scene>(scene.respecified(result.natural)));
    problem.rebind(result.plan.scene, result.plan.layout, *result.plan.backend);
    const std::vector<double> now = to_internal();
    std::copy(now.begin(), now.end(), x.begin());
    return true;
  };
  FitOutcome& outcome = result.outcome;
  outcome = levenberg_marquardt(problem, to_internal(), options, moves);
  to_natural_at(outcome.x);
  const Scene& scene = *result.plan.scene;
  to_natural(scene.parameters(), problem.pattern(), outcome);
  result.n_pixels_tiles = scene.owned_pixels();
  try {
    problem.chi2(outcome.x);
  } catch (const Interrupt&) {
    outcome.status = Status::interrupted;
    outcome.message = describe(outcome.status);
  }
  result.chi2_tiles = problem.chi2_tiles();
  result.chi2_tiles.resize(scene.tiles().size(), std::numeric_limits<double>::quiet_NaN());
  std::vector<TileState> states = problem.tile_states();
  states.resize(scene.tiles().size());
  result.source_status = source_statuses(result.plan, states, moves, outcome);
  return result;
}

std::vector<double> natural_covariance_columns(const Plan& plan, std::span<const double> natural,
                                               std::span<const std::uint8_t> held,
                                               std::span<const int> indices,
                                               const LMOptions& options) {
  SceneProblem problem(plan.scene, plan.layout, *plan.backend, true);
  const ParameterMap& map = plan.scene->parameters();
  const std::size_t n = natural.size(), k = indices.size();
  const std::vector<double> x = map.to_internal(natural);
  std::vector<double> g(n), h(problem.pattern().row.size()), columns(k * n, 0.0);
  problem.linearize(x, g, h);
  const auto pinned = map.pinned(x);
  std::vector<std::uint8_t> out(held.begin(), held.end());
  for (const auto& pin : pinned) out[static_cast<std::size_t>(pin.q)] = 0;
  for (const auto& pin : pinned) out[static_cast<std::size_t>(pin.held)] = 1;
  const auto clear_held = [&](std::span<double> column) {
    for (const auto& pin : pinned) column[static_cast<std::size_t>(pin.held)] = 0.0;
  };
  for (std::size_t c = 0; c < k; ++c) {
    const auto column = std::span<double>(columns).subspan(c * n, n);
    map.add_natural_row(x, indices[c], column);
    clear_held(column);
  }
  covariance_columns(problem.pattern(), h, out, options, columns, static_cast<int>(k));
  std::vector<double> result(k * n);
  for (std::size_t c = 0; c < k; ++c) {
    const auto column = std::span<double>(columns).subspan(c * n, n);
    clear_held(column);
    for (std::size_t i = 0; i < n; ++i) {
      result[c * n + i] = map.natural_component(x, static_cast<int>(i), column);
    }
    for (const auto& pin : pinned) {
      constexpr double nan = std::numeric_limits<double>::quiet_NaN();
      result[c * n + static_cast<std::size_t>(pin.q)] = nan;
      if (pin.q == indices[c])
        std::fill_n(result.begin() + static_cast<std::ptrdiff_t>(c * n), n, nan);
    }
  }
  return result;
}

}  // namespace jointlight
