// SPDX-License-Identifier: BSD-3-Clause
// Many objects of one kind: a scene's spec for a template, and what each object has of its own,
// read from the caller's arrays where the object is fitted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "scene/scene.hpp"

namespace jointlight {

// The caller's numbers, of either precision.
struct NumberView {
  const void* data = nullptr;
  bool is_single = false;

  double operator[](std::size_t i) const {
    return is_single ? static_cast<double>(static_cast<const float*>(data)[i])
                     : static_cast<const double*>(data)[i];
  }
};

// What the noise is given as.
enum class NoiseKind : std::uint8_t { weight, variance, std };

// One object on one image. Pixels that are NaN, masked, or of a noise that is no positive number
// get weight 0.
struct Stamp {
  int width = 0, height = 0;  // either 0: the object is not on this image
  NumberView pixels;          // [height][width]
  NoiseKind kind = NoiseKind::weight;
  NumberView noise;       // [height][width]; null: the template's, or `level`
  bool is_level = false;  // all pixels have `level`
  double level = 0.0;
  DevicePixels on_device;              // of pixels and noise, if they are weights
  const std::uint8_t* mask = nullptr;  // [height][width], non-zero = ignore
  const Psf* psf = nullptr;            // null: the template's
  NumberView psf_pixels;               // in place of its own, of any sum; may be null
  const double* jacobian = nullptr;    // [2][2] d(plane)/d(pixel), arcsec/px; null: the template's
};

// An object's own numbers; null: the template's.
struct StampParameters {
  const double *start = nullptr, *lower = nullptr, *upper = nullptr;  // [n_free]
  const double* constants = nullptr;                                  // [n_slots]
};

// A stamp of another size than the template's image is a window of its own, whose centre lies on
// the sky where that of the template's image does. Throws std::invalid_argument.
SceneSpec stamp_spec(const SceneSpec& kind, std::span<const Stamp> stamps,
                     const StampParameters& parameters);

}  // namespace jointlight
