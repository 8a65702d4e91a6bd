// SPDX-License-Identifier: BSD-3-Clause
// sources: csrc/base/special.cpp csrc/scene/[!ps]*.cpp csrc/scene/parameter_map.cpp
// sources: csrc/scene/pl*.cpp csrc/scene/psf.cpp csrc/scene/scene.cpp
// From free parameters to placed tiles through flat arrays, as a device goes, against the host's
// own way through the registries.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "backend/cuda/place_bodies.hpp"
#include "check.hpp"
#include "profiles/exponential.hpp"
#include "profiles/gaussian.hpp"
#include "profiles/moffat.hpp"
#include "profiles/sersic.hpp"
#include "scene/describe_profile.hpp"
#include "scene/flat_scenes.hpp"
#include "scene/scene.hpp"
#include "scene/transform_table.hpp"

namespace jointlight {

const std::vector<ProfileInfo>& profile_registry() {
  static const std::vector<ProfileInfo> registry = {
      describe_profile<Moffat>(), describe_profile<Sersic>(), describe_profile<Exponential>(),
      describe_profile<Gaussian>()};
  return registry;
}
int find_profile(std::string_view name) {
  const auto& registry = profile_registry();
  for (std::size_t i = 0; i < registry.size(); ++i) {
    if (registry[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace jointlight

using namespace jointlight;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::size_t at(int i) { return static_cast<std::size_t>(i); }

std::mt19937 generator(11);
double uniform(double low, double high) {
  return std::uniform_real_distribution<double>(low, high)(generator);
}
bool chance(double share) { return uniform(0.0, 1.0) < share; }

struct Free {
  double start, lower = -infinity, upper = infinity;
};

// One slot that is one free parameter.
void add_slot(ParameterSpec& p, std::vector<int>& slots, const Free& free) {
  slots.push_back(p.n_slots++);
  p.indices.push_back(p.n_free++);
  p.coefficients.push_back(1.0);
  p.constants.push_back(0.0);
  p.row_start.push_back(static_cast<int>(p.indices.size()));
  p.start.push_back(free.start);
  p.lower.push_back(free.lower);
  p.upper.push_back(free.upper);
  p.prior_mean.push_back(free.start + uniform(-1.0, 1.0));
  p.prior_sigma.push_back(chance(0.5) ? uniform(0.1, 2.0) : std::nan(""));
}
// One slot that follows parameters there already.
void add_tied(ParameterSpec& p, std::vector<int>& slots, int n, double constant) {
  slots.push_back(p.n_slots++);
  for (int k = 0; k < n; ++k) {
    p.indices.push_back(k);
    p.coefficients.push_back(uniform(0.5, 1.5));
  }
  p.constants.push_back(constant);
  p.row_start.push_back(static_cast<int>(p.indices.size()));
}

TileSpec random_tile(ParameterSpec& p, int size) {
  TileSpec tile;
  TileGeometry& g = tile.geometry;
  const double angle = uniform(0.0, 6.0), px = uniform(0.2, 2.0), shear = uniform(-0.2, 0.2);
  const double j[4] = {-px * std::cos(angle), px * (std::sin(angle) + shear), px * std::sin(angle),
                       px * std::cos(angle)};
  const double det = j[0] * j[3] - j[1] * j[2];
  const double inverse[4] = {j[3] / det, -j[1] / det, -j[2] / det, j[0] / det};
  for (int i = 0; i < 4; ++i) {
    g.map.jacobian[i] = j[i];
    g.map.inverse[i] = inverse[i];
  }
  for (double& q : g.map.quadratic) q = uniform(-1e-3, 1e-3);
  g.map.pixel_area = std::abs(det);
  g.map.anchor_pixel[0] = g.map.anchor_pixel[1] = 0.5 * size;
  g.calibrated = chance(0.3);
  g.pivot[0] = uniform(-1.0, 1.0);
  tile.x_end = tile.y_end = size;
  const int kind = static_cast<int>(uniform(0.0, 8.0));
  if (kind == 6) {
    g.kind = chance(0.5) ? ComponentKind::flat_sky : ComponentKind::plane_sky;
    g.n_slots = g.kind == ComponentKind::flat_sky ? 1 : 3;
    g.calibrated = false;
    for (int k = 0; k < g.n_slots; ++k) add_slot(p, tile.slots, {uniform(-1.0, 1.0)});
    return tile;
  }
  tile.psf = chance(0.85) || kind == 7 ? 0 : -1;
  for (int k = 0; k < 2; ++k) add_slot(p, tile.slots, {px * uniform(-3.0, 3.0)});
  if (kind == 7) {
    g.kind = ComponentKind::point;
    g.n_slots = 3;
  } else {
    g.profile = kind < 3 ? 1 : kind % 4;
    g.n_shape = profile_registry()[at(g.profile)].n_shape;
    g.n_slots = 6 + g.n_shape;
    g.amplitude_is_flux = chance(0.5);
    const double q_least = chance(0.3) ? 0.1 : 0.0, radius_least = chance(0.3) ? 0.01 : 0.0;
    const double q = chance(0.2) ? uniform(0.021, 0.1) : uniform(0.2, 0.95);
    add_slot(p, tile.slots, {std::max(q, q_least), q_least, 1.0});
    add_slot(p, tile.slots, {uniform(-200.0, 200.0)});
    if (chance(0.8)) {
      add_slot(p, tile.slots, {px * uniform(0.03, 0.1) * size, radius_least, infinity});
    } else {
      add_tied(p, tile.slots, 2, 20.0 * px);
    }
    if (g.n_shape > 0) {
      const ProfileInfo& info = profile_registry()[at(g.profile)];
      add_slot(p, tile.slots, {uniform(1.2, 5.0), info.shape_min[0], info.shape_max[0]});
    }
  }
  add_slot(p, tile.slots, {uniform(1.0, 9.0)});
  if (g.calibrated) {
    for (int k = 0; k < 3; ++k) add_slot(p, tile.slots, {uniform(-0.1, 0.1)});
    for (int k = 0; k < 2; ++k) add_slot(p, tile.slots, {uniform(0.9, 1.1)});
  }
  return tile;
}

std::unique_ptr<Scene> random_scene(int size) {
  SceneSpec spec;
  ImageSpec image;
  image.width = image.height = size;
  image.data.assign(at(size) * at(size), 0.1);
  image.weight.assign(at(size) * at(size), 1.0);
  spec.images.push_back(image);
  Psf psf;
  psf.form = Psf::Form::gaussian;
  psf.includes_pixel = false;
  psf.params[0] = uniform(0.9, 2.0);
  psf.extent = 10.0;
  spec.psfs.push_back(psf);
  spec.parameters.row_start.push_back(0);
  const int n_tiles = 1 + static_cast<int>(uniform(0.0, 4.0));
  for (int i = 0; i < n_tiles; ++i) {
    spec.tiles.push_back(random_tile(spec.parameters, size));
    spec.tiles.back().source = i;
  }
  return std::make_unique<Scene>(std::move(spec));
}

// What a device's memory would hold, and its kernels as loops.
struct Device {
  std::vector<ProfileView> profiles;
  std::vector<double> natural, slots, coefficients, tables, core_light, core_sums;
  std::vector<std::uint8_t> valid;
  std::vector<TileState> states;
  std::vector<Chain> chains;
  std::vector<TransformStencil> stencils;
  std::vector<int> first_nodes;
  std::vector<double> prior_chi2, gradient, curvature, low, high;
  std::vector<std::size_t> curvature_start;

  void place(const FlatScenes& flat, const std::vector<double>& values, bool internal) {
    const auto n_tiles = at(flat.n_tiles());
    profiles = flat.profiles_at(flat.nodes.data());
    natural.resize(values.size());
    slots.resize(at(flat.n_slots()));
    coefficients.resize(flat.coefficients.size());
    tables.resize(flat.table_start.back());
    valid.resize(at(flat.n_scenes()));
    states.resize(n_tiles);
    chains.resize(n_tiles);
    stencils.resize(n_tiles);
    first_nodes.resize(n_tiles);
    const CoreRule rule = flat.rule_at(flat.rule.data());
    core_light.resize(flat.cores.size() * 2 * at(rule.n_points()));
    core_sums.resize(flat.cores.size() * cuda::core_sums_size);
    const cuda::Placement p{.map = flat.parameters(),
                            .n_tiles = flat.n_tiles(),
                            .n_scenes = flat.n_scenes(),
                            .free_start = flat.free_start.data(),
                            .tiles = flat.tiles.data(),
                            .table_start = flat.table_start.data(),
                            .profiles = profiles.data(),
                            .values = values.data(),
                            .internal = internal,
                            .natural = natural.data(),
                            .slots = slots.data(),
                            .coefficients = coefficients.data(),
                            .valid = valid.data(),
                            .states = states.data(),
                            .chains = chains.data(),
                            .stencils = stencils.data(),
                            .first_nodes = first_nodes.data(),
                            .tables = tables.data(),
                            .n_cores = static_cast<int>(flat.cores.size()),
                            .cores = flat.cores.data(),
                            .rule = rule,
                            .core_light = core_light.data(),
                            .core_sums = core_sums.data()};
    // Backwards: no thread may need an earlier one.
    for (int i = flat.n_free() - 1; i >= 0; --i) cuda::CoordinateBody{p}(i);
    for (int i = flat.n_scenes() - 1; i >= 0; --i) cuda::SceneBody{p}(i);
    for (int i = flat.n_slots() - 1; i >= 0; --i) cuda::SlotBody{p}(i);
    add_priors(flat, p);
    for (int i = flat.n_tiles() - 1; i >= 0; --i) cuda::TileBody{p}(i);
    for (int i = flat.n_tiles() - 1; i >= 0; --i) {
      for (int thread = 31; thread >= 0; --thread) cuda::TableBody{p}(i, thread, 32);
      tail<Moffat>(p, 0, i);
      tail<Sersic>(p, 1, i);
      tail<Exponential>(p, 2, i);
      tail<Gaussian>(p, 3, i);
    }
    for (int core = p.n_cores - 1; core >= 0; --core) {
      for (int thread = 31; thread >= 0; --thread) {
        cuda::CoreLightBody<Moffat>{p, 0}(core, thread, 32);
        cuda::CoreLightBody<Sersic>{p, 1}(core, thread, 32);
        cuda::CoreLightBody<Exponential>{p, 2}(core, thread, 32);
        cuda::CoreLightBody<Gaussian>{p, 3}(core, thread, 32);
      }
      for (int thread = 31; thread >= 0; --thread) cuda::CoreSumBody{p}(core, thread, 32);
      for (int thread = 31; thread >= 0; --thread) cuda::CoreTableBody{p}(core, thread, 32);
    }
  }

  void add_priors(const FlatScenes& flat, const cuda::Placement& p) {
    curvature_start.assign(1, 0);
    for (int s = 0; s < flat.n_scenes(); ++s) {
      const std::size_t n = at(flat.free_start[at(s) + 1] - flat.free_start[at(s)]);
      curvature_start.push_back(curvature_start.back() + n * n);
    }
    prior_chi2.assign(at(flat.n_scenes()), 0.0);
    gradient.assign(at(flat.n_free()), 0.0);
    curvature.assign(curvature_start.back(), 0.0);
    low.resize(gradient.size());
    high.resize(gradient.size());
    const cuda::PriorSums sums{prior_chi2.data(), gradient.data(), curvature.data(),
                               curvature_start.data()};
    for (int s = flat.n_scenes() - 1; s >= 0; --s) cuda::PriorBody{p, sums}(s);
    for (int i = flat.n_free() - 1; i >= 0; --i) cuda::StepBody{p, low.data(), high.data()}(i);
  }

  template <class Profile>
  static void tail(const cuda::Placement& p, int index, int tile) {
    const cuda::TailBody<Profile> body{p, index};
    if (!body.concerns(tile)) return;
    for (int k = 0; k < tail_rays; ++k) body(tile, k, p.states[tile].tail);
  }
};

int compared = 0, drawn = 0, beyond = 0, refused = 0, tabulated = 0, cores = 0;
int charts[5] = {};

// Both NaN, or equal to rounding.
bool same(double a, double b) {
  ++compared;
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return a == b || std::abs(a - b) <= 1e-15 * std::abs(b);
}
bool same(const double* a, const double* b, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    if (!same(a[i], b[i])) return false;
  }
  return true;
}

void compare_state(const TileState& a, const TileState& b, const PlaceView& view) {
  CHECK(a.visible == b.visible && a.beyond == b.beyond && a.has_table == b.has_table);
  CHECK(same(a.x0, b.x0) && same(a.y0, b.y0) && same(a.S, b.S, 3) && same(a.shape, b.shape, 2));
  CHECK(a.taper == b.taper && same(a.tail, b.tail, n_lanes) && same(a.value, b.value, n_lanes));
  (b.visible ? drawn : (b.beyond ? beyond : refused)) += 1;
  if (!a.has_table || !b.has_table) return;
  ++tabulated;
  CHECK(a.table.n_intervals == b.table.n_intervals);
  CHECK(a.table.near_intervals == b.table.near_intervals);
  CHECK(same(a.table.u0, b.table.u0) && same(a.table.inverse_step, b.table.inverse_step));
  CHECK(same(a.table.at_zero, b.table.at_zero, RadialTable::columns));
  CHECK(b.table.n_intervals <= most_intervals(view));
  CHECK(same(a.table.coefficients, b.table.coefficients,
             at(b.table.n_intervals) * TransformGrid::interval_size));
  if (b.table.near_intervals == 0) return;
  ++cores;
  CHECK(same(a.table.near_end2, b.table.near_end2));
  CHECK(same(a.table.near_inverse_step, b.table.near_inverse_step));
  CHECK(same(a.table.near_coefficients, b.table.near_coefficients, CoreGrid::table_size));
}

// Priors and steps of scene s of the batch.
void compare_priors(const Device& device, const FlatScenes& flat, int s, const ParameterMap& map,
                    const std::vector<double>& x, bool internal, const ParameterState& state) {
  const std::size_t n = x.size(), first = at(flat.free_start[at(s)]);
  std::vector<double> g(n, 0.0), h(n * n, 0.0);
  map.add_priors(x, internal, state, g, [&](int i, int j, double v) {
    h[at(std::max(i, j)) * n + at(std::min(i, j))] += v;
  });
  double chi2 = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    chi2 += map.prior_chi2(state, static_cast<int>(i));
    if (!internal) continue;
    const double step = map.max_step()[i];
    CHECK(same(device.low[first + i], std::max(map.lower()[i] - x[i], -step)));
    CHECK(same(device.high[first + i], std::min(map.upper()[i] - x[i], step)));
  }
  CHECK(same(device.prior_chi2[at(s)], chi2));
  CHECK(same(&device.gradient[first], g.data(), n));
  CHECK(same(&device.curvature[device.curvature_start[at(s)]], h.data(), n * n));
}

void check_batch(int n_scenes, int size, bool internal) {
  std::vector<std::unique_ptr<Scene>> scenes;
  std::vector<const Scene*> pointers;
  std::vector<double> values;
  for (int i = 0; i < n_scenes; ++i) {
    scenes.push_back(random_scene(size + 3 * i));
    pointers.push_back(scenes.back().get());
    const ParameterMap& map = scenes.back()->parameters();
    auto x = map.spec().start;
    if (internal) x = map.to_internal(x);
    const double spread = chance(0.3) ? 0.6 : 0.1;
    for (double& value : x) value += spread * uniform(-1.0, 1.0);
    if (chance(0.1)) x[0] = std::nan("");
    if (chance(0.2)) x[0] += 90.0;  // off the window
    values.insert(values.end(), x.begin(), x.end());
  }
  const FlatScenes flat(pointers);
  for (const ParameterChart chart : flat.chart) ++charts[static_cast<int>(chart)];
  Device device;
  device.place(flat, values, internal);

  for (int s = 0; s < n_scenes; ++s) {
    const Scene& scene = *pointers[at(s)];
    const int first = flat.free_start[at(s)], slot = flat.slot_start[at(s)];
    const std::vector<double> x(values.begin() + first,
                                values.begin() + flat.free_start[at(s) + 1]);
    ParameterState parameters;
    scene.parameters().evaluate(x, internal, parameters);
    CHECK((device.valid[at(s)] != 0) == parameters.valid);
    CHECK(same(&device.natural[at(first)], parameters.natural.data(), x.size()));
    CHECK(same(&device.slots[at(slot)], parameters.slots.data(), parameters.slots.size()));
    CHECK(same(&device.coefficients[at(flat.row_start[at(slot)])], parameters.coefficients.data(),
               parameters.coefficients.size()));
    compare_priors(device, flat, s, scene.parameters(), x, internal, parameters);
    std::vector<TileState> states;
    std::vector<Chain> chains;
    std::vector<TilePlace> places;
    scene.place_tiles(parameters, internal, states, chains, places);
    for (std::size_t t = 0; t < states.size(); ++t) {
      const std::size_t tile = at(flat.tile_start[at(s)]) + t;
      compare_state(device.states[tile], states[t], flat.tiles[tile]);
      CHECK(same(device.chains[tile].matrix[0], chains[t].matrix[0], n_lanes * max_slots));
    }
  }
}

// Nodes of a part of the shapes serve shapes of that part.
void check_part() {
  const TransformTable& table = transform_table(1);
  std::vector<double> nodes;
  const TransformView view = table.export_nodes(1.3, 2.9, nodes);
  CHECK(nodes.size() == at(view.n_held * TransformGrid::node_size) && view.n_held < view.n_nodes);
  for (const double n : {1.3, 1.31, 2.0, 2.9}) {
    double slope[2], shared_slope[2];
    const double flux = table.flux_factor(&n, slope);
    CHECK(same(transform_flux(transform_stencil(view, &n), shared_slope), flux));
    CHECK(same(shared_slope, slope, 2));
  }
}

}  // namespace

int main() {
  check_part();
  for (int trial = 0; trial < 20; ++trial) check_batch(1 + trial % 4, 24 + trial, trial % 3 != 2);
  for (int trial = 0; trial < 5; ++trial) {
    check_batch(2, 240 + 10 * trial, trial % 2 == 0);  // large windows are drawn in two parts
  }
  // All ways were taken.
  CHECK(compared > 50000 && drawn > 20 && beyond > 0 && refused > 0 && tabulated > 15 && cores > 2);
  for (const int n : charts) CHECK(n > 0);
  return check::result();
}
