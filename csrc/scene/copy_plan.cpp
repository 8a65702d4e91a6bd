// SPDX-License-Identifier: BSD-3-Clause
#include "scene/copy_plan.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstddef>

#include "scene/profile_registry.hpp"

namespace jointlight {
namespace {

// Error of the copies' polynomial beside the component's peak: of a new plan, and what a plan may
// come to before it is replaced. And the range of what it may be beside the copies' own light.
constexpr double planned = 1e-8, suitable = 1e-7, finest = 1e-7, coarsest = 1e-2;

// The PSF leaves nothing finer than itself, and what its moments do to a polynomial is known to
// coarse terms only: at most so many terms for each of its standard deviations in half the square,
// fewer for ellipses so thin that their ridges are finer; and the square reaches so many beyond the
// window, where derivatives of the polynomial are tame.
struct Resolution {
  double terms, margin;
};
constexpr Resolution usual = {2.2, 2.0}, thin = {1.15, 3.0};
constexpr double thin_ratio = 0.03;

const Resolution& resolution(const TileState& state) {
  const double root = std::sqrt(std::max(state.S[0] * state.S[2] - state.S[1] * state.S[1], 0.0));
  return root < thin_ratio * largest_eigenvalue(state.S) ? thin : usual;
}

// Rings of copies that share a polynomial, by the last of each.
constexpr int last_rings[] = {1, 3, copy_rings};

constexpr std::size_t at(int i) { return static_cast<std::size_t>(i); }

// Nodes of one order and the transform from values there to coefficients.
struct ChebyshevTable {
  std::vector<double> node;    // [n]
  std::vector<double> cosine;  // [k][i]
};

ChebyshevTable make_table(int n) {
  ChebyshevTable table;
  for (int i = 0; i < n; ++i) table.node.push_back(std::cos(M_PI * (i + 0.5) / n));
  for (int k = 0; k < n; ++k) {
    for (int i = 0; i < n; ++i) {
      table.cosine.push_back(std::cos(M_PI * k * (i + 0.5) / n) * (k == 0 ? 1.0 : 2.0) / n);
    }
  }
  return table;
}

const ChebyshevTable& chebyshev_table(int n) {
  // Never destroyed: threads may still use them when the process ends.
  static const auto& tables = *[] {
    auto* made = new std::array<ChebyshevTable, CopyPlan::max_order / 2 + 1>;
    for (int half = 1; half <= CopyPlan::max_order / 2; ++half)
      (*made)[at(half)] = make_table(2 * half);
    return made;
  }();
  return tables[at(n / 2)];
}

// Sum of the semi-axes of the ellipse with foci -1 and 1 through z: Chebyshev coefficients of a
// function that is smooth inside it fall as its powers.
double ellipse_through(std::complex<double> z) {
  const std::complex<double> root = std::sqrt(z * z - 1.0);
  return std::max(std::abs(z + root), std::abs(z - root));
}

// The smallest such ellipse that a cusp in ring `ring` lies on, along x for every y of the square;
// the profile's cusp lies where R^2 = 0, off the real axis.
double nearest_cusp(double box_x, double box_y, double half_x, double half_y, const double S[3],
                    int ring) {
  const double root = std::sqrt(std::max(S[0] * S[2] - S[1] * S[1], 0.0));
  const std::complex<double> slope(S[1] / S[2], root / S[2]);
  double nearest = 1e3;
  for (int b = 0; b <= ring; ++b) {  // the others mirror these
    for (int a = -ring; a <= ring; ++a) {
      if (std::max(std::abs(a), b) != ring) continue;
      for (const double y : {-half_y, 0.0, half_y}) {
        const std::complex<double> cusp = a * box_x + (y - b * box_y) * slope;
        nearest = std::min(nearest, ellipse_through(cusp / half_x));
      }
    }
  }
  return nearest;
}

// Light of ring `ring` where it comes nearest, beside a lower bound of the convolved peak.
double relative_light(const TileView& view, const TileState& state, double core, double half_x,
                      double half_y, int ring) {
  const double away = std::max(
      std::min(ring * view.transfer.box_x - half_x, ring * view.transfer.box_y - half_y), 1.0);
  const double r2[2] = {away * away / largest_eigenvalue(state.S), 1e20};
  double brightness[2], enclosed[2], by_shape[2][2];
  const ProfileInfo& profile = profile_registry()[at(view.profile)];
  profile.light_within(state.shape, 2, r2, brightness, enclosed, by_shape);
  const double root = std::sqrt(std::max(state.S[0] * state.S[2] - state.S[1] * state.S[1], 0.0));
  const double peak = enclosed[1] * root / (root + core * core);
  return brightness[0] / peak;
}

int order_for(const TileView& view, const TileState& state, double core, double half_x,
              double half_y, int ring, double tolerance) {
  const double S[3] = {state.S[0], state.S[1], state.S[2]}, turned[3] = {S[2], S[1], S[0]};
  const double box_x = view.transfer.box_x, box_y = view.transfer.box_y;
  const double nearest = std::min(nearest_cusp(box_x, box_y, half_x, half_y, S, ring),
                                  nearest_cusp(box_y, box_x, half_y, half_x, turned, ring));
  const double light = relative_light(view, state, core, half_x, half_y, ring);
  const double error = std::clamp(tolerance / std::max(light, 1e-30), finest, coarsest);
  const double terms = std::log(error) / -std::log(std::max(nearest, 1.05));
  const double* m = view.transfer.moments;
  const double widths =
      std::min(half_x / std::sqrt(std::max(m[0], 1e-6)), half_y / std::sqrt(std::max(m[2], 1e-6)));
  const double most = widths * resolution(state).terms;
  const double order = std::min({terms, most, double{CopyPlan::max_order}});
  return std::isfinite(order) ? 2 * std::max(2, static_cast<int>(std::ceil(0.5 * order))) : 4;
}

// How far the light's centre lies from the window's far side, pixels.
double reach(double centre, int size) { return std::max(centre, size - 1 - centre); }

// [n][n]: coefficients of the first terms of exp(factor d^2/du^2).
std::vector<double> blur_matrix(int n, double factor) {
  const std::size_t size = at(n);
  std::vector<double> out(size * size, 0.0), term(size * size, 0.0), next;
  for (std::size_t k = 0; k < size; ++k) out[k * size + k] = term[k * size + k] = 1.0;
  const auto second = [&](std::size_t k, std::size_t m) {  // of d^2/du^2, m - k even
    const auto a = static_cast<double>(m), b = static_cast<double>(k);
    return factor * a * (a * a - b * b) * (k == 0 ? 0.5 : 1.0);
  };
  for (int order = 1; order <= 3; ++order) {
    next.assign(size * size, 0.0);
    for (std::size_t k = 0; k < size; ++k) {
      for (std::size_t m = k + 2; m < size; m += 2) {
        double s = 0.0;
        for (std::size_t j = k + 2; j <= m; j += 2) s += second(k, j) * term[j * size + m];
        next[k * size + m] = s / order;
        out[k * size + m] += s / order;
      }
    }
    term.swap(next);
  }
  return out;
}

}  // namespace

CopyPlan plan_copies(const TileView& view, const TileState& state, double core, double slack,
                     CopyBlur& blur) {
  const double* shift = view.transfer.shift;
  const double* moments = view.transfer.moments;
  CopyPlan plan;
  const double beyond =
      std::max(slack, resolution(state).margin * std::sqrt(std::max(moments[0], moments[2])));
  plan.half_x = reach(state.x0 + shift[0], view.width) + beyond;
  plan.half_y = reach(state.y0 + shift[1], view.height) + beyond;
  int first = 1;
  for (std::size_t i = 0; i < std::size(last_rings); ++i) {
    const int n = order_for(view, state, core, plan.half_x, plan.half_y, first, planned);
    const ChebyshevTable& table = chebyshev_table(n);
    plan.rings[i] = {last_rings[i], n, table.node.data(), table.cosine.data()};
    plan.n = std::max(plan.n, n);
    first = last_rings[i] + 1;
  }
  blur.x = blur_matrix(plan.n, 0.5 * moments[0] / (plan.half_x * plan.half_x));
  blur.y = blur_matrix(plan.n, 0.5 * moments[2] / (plan.half_y * plan.half_y));
  plan.blur_x = blur.x.data();
  plan.blur_y = blur.y.data();
  // Rounding of a symmetric PSF's moments is no reason for more work.
  const bool crossed = std::abs(moments[1]) > 1e-9 * (moments[0] + moments[2]);
  plan.blur_xy = crossed ? moments[1] / (plan.half_x * plan.half_y) : 0.0;
  return plan;
}

bool suits_copies(const TileView& view, const TileState& state, double core) {
  const CopyPlan& plan = view.copies;
  if (plan.n == 0) return true;
  const double* shift = view.transfer.shift;
  if (reach(state.x0 + shift[0], view.width) > 1.02 * plan.half_x ||
      reach(state.y0 + shift[1], view.height) > 1.02 * plan.half_y) {
    return false;
  }
  // Nor does a square suit that reaches where it has no need to: copies are near there.
  if (reach(state.x0 + shift[0], view.width) < 0.5 * plan.half_x &&
      plan.half_x > 0.75 * view.transfer.box_x) {
    return false;
  }
  if (reach(state.y0 + shift[1], view.height) < 0.5 * plan.half_y &&
      plan.half_y > 0.75 * view.transfer.box_y) {
    return false;
  }
  const int n = order_for(view, state, core, plan.half_x, plan.half_y, 1, suitable);
  return n <= plan.rings[0].n && (&resolution(state) == &usual || plan.rings[0].n <= 2 * n);
}

}  // namespace jointlight
