// SPDX-License-Identifier: BSD-3-Clause
// The radial profiles this build knows, by name, with what scene compilation needs of them.
#pragma once

#include <complex>
#include <string>
#include <string_view>
#include <vector>

namespace jointlight {

struct TileState;

struct ProfileInfo {
  std::string name;
  int n_shape = 0;  // 0, 1 or 2 shape parameters
  std::vector<std::string> shape_names;
  std::vector<double> shape_min, shape_max;
  std::string scale_name, amplitude_name;
  double shape_origin = 0.0;  // shapes are tabulated in ln(shape - origin)
  // log of the Mellin transform integral_0^inf r^(s-1) I(r) dr
  std::complex<double> (*log_mellin)(const double* shape, std::complex<double> s) = nullptr;
  // I and its derivatives by shape at `count` values of R^2.
  void (*brightness)(const double* shape, int count, const double* r2, double* value,
                     double (*by_shape)[2]) = nullptr;
  // At `count` values of R^2: I, integral_0^R r I dr and the integral's derivatives by shape.
  void (*light_within)(const double* shape, int count, const double* r2, double* brightness,
                       double* enclosed, double (*by_shape)[2]) = nullptr;
  // Light of far copies in a box of box_x x box_y pixels, into the state's tail (place_math.hpp).
  void (*copy_tail)(int box_x, int box_y, TileState& state) = nullptr;
};

const std::vector<ProfileInfo>& profile_registry();

// Index into the registry; -1 if there is no such profile.
int find_profile(std::string_view name);

}  // namespace jointlight
