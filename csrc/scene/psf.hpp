// SPDX-License-Identifier: BSD-3-Clause
// Point-spread functions as given, and their transform on one box.
#pragma once

#include <cstddef>
#include <vector>

#include "scene/tile.hpp"

namespace jointlight {

struct Psf {
  enum class Form { array, gaussian, moffat };

  Form form = Form::array;
  bool includes_pixel = true;  // an effective PSF (Anderson & King 2000)
  // array: [ny][nx], sampled `oversampling` times per pixel, centre in array pixels
  std::vector<double> data;
  int nx = 0, ny = 0, oversampling = 1;
  double cx = 0.0, cy = 0.0;
  // analytic: gaussian sigma, or moffat (alpha, beta), pixels
  double params[2] = {};
  double extent = 0.0;  // no light that matters beyond this radius, pixels

  // Radius beyond which a pixel holds less than the fraction `faint` of the light, pixels.
  double reach(double faint) const;
  // Standard deviation of the Gaussian with as sharp a core (the same integral of its square),
  // pixels.
  double core_width() const;
};

// How far a PSF reaches (to 1e-10 and 1e-7 of its light) and how wide its core is, pixels.
struct PsfExtent {
  double far = 0.0, near = 0.0, core = 0.0;
};

// PSF transform on a box, with the memory its view points to.
class Transfer {
 public:
  Transfer(const Psf& psf, int box_x, int box_y);
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  const TransferView& view() const { return view_; }
  int folds() const { return folds_; }  // runs per column at most: 1 = nothing folded
  std::size_t bytes() const { return bytes_; }

 private:
  TransferView view_;
  int folds_ = 0;
  std::size_t bytes_ = 0;
  std::vector<SpectrumRun> runs_;
  std::vector<int> column_start_;
  std::vector<std::vector<double>> values_;
};

}  // namespace jointlight
