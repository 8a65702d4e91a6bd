// SPDX-License-Identifier: BSD-3-Clause
// The arrays of many objects as the core reads them, without a copy.
#pragma once

#include <vector>

#include "bindings/arrays.hpp"
#include "scene/stamps.hpp"

namespace jointlight {

class StampTable {
 public:
  // images: for each of the template's, a dictionary
  //   pixels: array [n, h, w] or a list of n 2-d arrays or None
  //   kind: "weight", "variance" or "std";
  //   noise: None, array [n] of one number each, or like pixels
  //   mask: None, or like pixels, of bool
  //   device: -1, or the device that has pixels, or noise given as weights, too; pixels_at,
  //   noise_at: None, or array [n] of the addresses there, 0 = none
  //   psfs: None or a SceneBuilder with PSFs; psf: array [n], which of them, -1 = the template's
  //   psf_pixels: None, or samples in place of those of the PSF, like pixels
  //   jacobian: None or array [n, 2, 2]
  StampTable(std::size_t n, const py::list& images);

  std::span<const Stamp> of(std::size_t object) const {
    return std::span(stamps_).subspan(object * n_images_, n_images_);
  }

 private:
  void read(std::size_t image, const py::dict& given);
  void read_addresses(std::size_t image, const py::dict& given);

  std::size_t n_, n_images_;
  std::vector<Stamp> stamps_;     // [n][n_images]
  std::vector<py::object> kept_;  // owners of the memory
};

}  // namespace jointlight
