// SPDX-License-Identifier: BSD-3-Clause
// sources: csrc/solve/lm.cpp csrc/solve/descent.cpp csrc/solve/region.cpp csrc/solve/damped.cpp
// sources: csrc/solve/descent_parts.cpp csrc/solve/descent_split.cpp csrc/solve/component.cpp
// sources: csrc/solve/covariance.cpp
// sources: csrc/solve/block_factor.cpp csrc/base/fiber.cpp
// sources: csrc/solve/linear_solver.cpp csrc/solve/sparse.cpp csrc/solve/result.cpp
// needs: eigen
// Standard problems (More, Garbow and Hillstrom 1981): right minimum, few evaluations.
#include <string>

#include "solve_problems.hpp"

using namespace testing;
using jointlight::FitOutcome;

namespace {

struct Case {
  const char* name;
  int n, m;
  std::vector<double> start;
  Residuals residuals;
  std::vector<double> minima;  // chi2 of the known (local) minima
  int budget;                  // trial points
};

constexpr double pi = 3.14159265358979323846;

double at(const double* table, int i) { return table[i]; }

const double bard_y[] = {0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39,
                         0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39};
const double kowalik_y[] = {0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627,
                            0.0456, 0.0342, 0.0323, 0.0235, 0.0246};
const double kowalik_u[] = {4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625};
const double meyer_y[] = {34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744,
                          8261,  7030,  6005,  5147,  4427,  3820,  3307,  2872};

std::vector<Case> cases() {
  using C = Complex;
  return {
      {"rosenbrock",
       2,
       2,
       {-1.2, 1.0},
       [](const C* x, C* r) {
         r[0] = 10.0 * (x[1] - x[0] * x[0]);
         r[1] = 1.0 - x[0];
       },
       {0.0},
       40},
      {"freudenstein_roth",
       2,
       2,
       {0.5, -2.0},
       [](const C* x, C* r) {
         r[0] = -13.0 + x[0] + ((5.0 - x[1]) * x[1] - 2.0) * x[1];
         r[1] = -29.0 + x[0] + ((x[1] + 1.0) * x[1] - 14.0) * x[1];
       },
       {0.0, 48.98425},
       25},
      {"brown_badly_scaled",
       2,
       3,
       {1.0, 1.0},
       [](const C* x, C* r) {
         r[0] = x[0] - 1e6;
         r[1] = x[1] - 2e-6;
         r[2] = x[0] * x[1] - 2.0;
       },
       {0.0},
       40},
      {"beale",
       2,
       3,
       {1.0, 1.0},
       [](const C* x, C* r) {
         const double y[] = {1.5, 2.25, 2.625};
         C power = 1.0;
         for (int i = 0; i < 3; ++i) {
           power *= x[1];
           r[i] = y[i] - x[0] * (1.0 - power);
         }
       },
       {0.0},
       15},
      {"jennrich_sampson",
       2,
       10,
       {0.3, 0.4},
       [](const C* x, C* r) {
         for (int i = 1; i <= 10; ++i) {
           const double t = i;
           r[i - 1] = 2.0 + 2.0 * t - (std::exp(t * x[0]) + std::exp(t * x[1]));
         }
       },
       {124.362},
       35},
      {"helical_valley",
       3,
       3,
       {-1.0, 0.0, 0.0},
       [](const C* x, C* r) {
         C theta = std::atan(x[1] / x[0]) / (2.0 * pi);
         if (x[0].real() < 0.0) theta += 0.5;
         r[0] = 10.0 * (x[2] - 10.0 * theta);
         r[1] = 10.0 * (std::sqrt(x[0] * x[0] + x[1] * x[1]) - 1.0);
         r[2] = x[2];
       },
       {0.0},
       18},
      {"bard",
       3,
       15,
       {1.0, 1.0, 1.0},
       [](const C* x, C* r) {
         for (int i = 1; i <= 15; ++i) {
           const double u = i, v = 16 - i, w = std::min(u, v);
           r[i - 1] = at(bard_y, i - 1) - (x[0] + u / (v * x[1] + w * x[2]));
         }
       },
       {8.21487e-3},
       8},
      {"box_3d",
       3,
       10,
       {0.0, 10.0, 20.0},
       [](const C* x, C* r) {
         for (int i = 1; i <= 10; ++i) {
           const double t = 0.1 * i;
           r[i - 1] = std::exp(-t * x[0]) - std::exp(-t * x[1]) -
                      x[2] * (std::exp(-t) - std::exp(-10.0 * t));
         }
       },
       {0.0},
       10},
      {"powell_singular",
       4,
       4,
       {3.0, -1.0, 0.0, 1.0},
       [](const C* x, C* r) {
         r[0] = x[0] + 10.0 * x[1];
         r[1] = std::sqrt(5.0) * (x[2] - x[3]);
         r[2] = std::pow(x[1] - 2.0 * x[2], 2);
         r[3] = std::sqrt(10.0) * std::pow(x[0] - x[3], 2);
       },
       {0.0},
       45},
      {"wood",
       4,
       6,
       {-3.0, -1.0, -3.0, -1.0},
       [](const C* x, C* r) {
         r[0] = 10.0 * (x[1] - x[0] * x[0]);
         r[1] = 1.0 - x[0];
         r[2] = std::sqrt(90.0) * (x[3] - x[2] * x[2]);
         r[3] = 1.0 - x[2];
         r[4] = std::sqrt(10.0) * (x[1] + x[3] - 2.0);
         r[5] = (x[1] - x[3]) / std::sqrt(10.0);
       },
       {0.0},
       90},
      {"kowalik_osborne",
       4,
       11,
       {0.25, 0.39, 0.415, 0.39},
       [](const C* x, C* r) {
         for (int i = 0; i < 11; ++i) {
           const double u = at(kowalik_u, i);
           r[i] = at(kowalik_y, i) - x[0] * (u * u + u * x[1]) / (u * u + u * x[2] + x[3]);
         }
       },
       {3.07505e-4},
       35},
      {"meyer",
       3,
       16,
       {0.02, 4000.0, 250.0},
       [](const C* x, C* r) {
         for (int i = 1; i <= 16; ++i) {
           const double t = 45.0 + 5.0 * i;
           r[i - 1] = x[0] * std::exp(x[1] / (t + x[2])) - at(meyer_y, i - 1);
         }
       },
       {87.9458},
       400},
      {"brown_dennis",
       4,
       20,
       {25.0, 5.0, -5.0, -1.0},
       [](const C* x, C* r) {
         for (int i = 1; i <= 20; ++i) {
           const double t = i / 5.0;
           r[i - 1] = std::pow(x[0] + t * x[1] - std::exp(t), 2) +
                      std::pow(x[2] + x[3] * std::sin(t) - std::cos(t), 2);
         }
       },
       {85822.2},
       500},
      {"biggs_exp6",
       6,
       13,
       {1.0, 2.0, 1.0, 1.0, 1.0, 1.0},
       [](const C* x, C* r) {
         for (int i = 1; i <= 13; ++i) {
           const double t = 0.1 * i;
           const double y = std::exp(-t) - 5.0 * std::exp(-10.0 * t) + 3.0 * std::exp(-4.0 * t);
           r[i - 1] = x[2] * std::exp(-t * x[0]) - x[3] * std::exp(-t * x[1]) +
                      x[5] * std::exp(-t * x[4]) - y;
         }
       },
       {0.0, 5.65565e-3},
       90},
  };
}

}  // namespace

int main() {
  for (const Case& c : cases()) {
    for (const double ratio : {3.0, 1e9}) {
      LeastSquares problem(c.n, c.m, c.residuals);
      problem.ratio = ratio;
      jointlight::LMOptions options;
      options.max_iterations = c.budget;
      const FitOutcome fit = levenberg_marquardt(problem, c.start, options);
      print((std::string(c.name) + (ratio > 1e3 ? " (chi2 first)" : "")).c_str(), fit);
      CHECK(jointlight::is_success(fit.status));
      bool found = false;
      for (const double minimum : c.minima) {
        found = found || std::abs(fit.chi2 - minimum) <= 1e-5 * minimum + 1e-10;
      }
      CHECK(found);
    }
  }
  return check::result();
}
