// SPDX-License-Identifier: BSD-3-Clause
// What stands for a PSF where a profile is smooth (stages/core_box.hpp): a short filter on a coarse
// grid, and the taper it takes to make the rest of a profile that smooth.
#pragma once

#include "scene/psf.hpp"

namespace jointlight {

// Error of drawing a profile in two parts, of the peak.
inline constexpr double default_core_accuracy = 1e-5;

struct RestFilter {
  bool found = false;     // false: the PSF's wings are too wide for any taper that pays
  double minor_px = 0.0;  // minor radius of the taper, pixels
  double step_px = 0.0;   // of the fine grid
  double shift[2] = {};   // the PSF's, pixels
  double bound = 0.0;     // of the error, of the peak
  // Filters on the fine grid, and on the coarse one of rest_ratio times its step
  double fine[rest_filter_size * rest_filter_size] = {};
  double coarse[rest_filter_size * rest_filter_size] = {};
};

// Beyond `rest_margin` steps of the coarse grid from the taper's end the rest is smooth enough for
// that grid.
inline constexpr double rest_ratio = 3.0;
inline constexpr double rest_margin = 3.0;

RestFilter make_rest_filter(const Psf& psf, double accuracy);

}  // namespace jointlight
