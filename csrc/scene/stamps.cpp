// SPDX-License-Identifier: BSD-3-Clause
#include "scene/stamps.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// The reciprocal of the noise's square, or the weight itself; 0 where that is no positive number.
template <NoiseKind kind>
double weight_of(double noise) {
  double w = noise;
  if constexpr (kind == NoiseKind::variance) w = 1.0 / noise;
  if constexpr (kind == NoiseKind::std) w = noise > 0.0 ? 1.0 / (noise * noise) : 0.0;
  constexpr double largest = std::numeric_limits<double>::max();
  return w > 0.0 && w <= largest ? w : 0.0;
}

template <class T>
void read_weights(NoiseKind kind, std::span<const T> noise, double* weight) {
  const auto fill = [&](const auto& rule) {
    for (std::size_t p = 0; p < noise.size(); ++p) weight[p] = rule(static_cast<double>(noise[p]));
  };
  if (kind == NoiseKind::weight) fill(weight_of<NoiseKind::weight>);
  if (kind == NoiseKind::variance) fill(weight_of<NoiseKind::variance>);
  if (kind == NoiseKind::std) fill(weight_of<NoiseKind::std>);
}

void read_weights(NoiseKind kind, const NumberView& noise, std::size_t size, double* weight) {
  if (noise.is_single) {
    read_weights(kind, std::span(static_cast<const float*>(noise.data), size), weight);
  } else {
    read_weights(kind, std::span(static_cast<const double*>(noise.data), size), weight);
  }
}

template <class T>
void read_pixels(const T* pixels, std::vector<double>& data, std::vector<double>& weight) {
  constexpr double largest = std::numeric_limits<double>::max();
  for (std::size_t p = 0; p < data.size(); ++p) {
    const auto value = static_cast<double>(pixels[p]);
    const double w = std::abs(value) <= largest ? weight[p] : 0.0;
    weight[p] = w;
    data[p] = w > 0.0 ? value : 0.0;
  }
}

// The one weight of an image's pixels that count; 0 where there are several, or none.
double common_weight(const ImageSpec& image) {
  double found = 0.0;
  for (const double w : image.weight) {
    if (!(w > 0.0)) continue;
    if (found > 0.0 && w != found) return 0.0;
    found = w;
  }
  return found;
}

// Of the caller's pixels on a device, those that are what was read from their copy on the host.
DevicePixels usable(const Stamp& stamp, const ImageSpec& image) {
  DevicePixels out = stamp.on_device;
  if (stamp.pixels.is_single) out.data = nullptr;
  const auto* noise = static_cast<const double*>(stamp.noise.data);
  const bool same = stamp.kind == NoiseKind::weight && noise != nullptr && !stamp.noise.is_single &&
                    std::equal(image.weight.begin(), image.weight.end(), noise);
  if (!same) out.weight = nullptr;
  return out;
}

ImageSpec read_image(const ImageSpec& kind, const Stamp& stamp, std::size_t index) {
  ImageSpec image;
  image.likelihood = kind.likelihood;
  if (stamp.width == 0 || stamp.height == 0) {
    // One pixel that does not count, so that the tiles have somewhere to be.
    image.width = image.height = 1;
    image.data = image.weight = {0.0};
    return image;
  }
  image.width = stamp.width;
  image.height = stamp.height;
  const std::size_t size = at(stamp.width) * at(stamp.height);
  image.data.resize(size);
  if (stamp.noise.data != nullptr) {
    image.weight.resize(size);
    read_weights(stamp.kind, stamp.noise, size, image.weight.data());
  } else if (stamp.is_level) {
    double level = 0.0;
    read_weights(stamp.kind, std::span<const double>(&stamp.level, 1), &level);
    image.weight.assign(size, level);
  } else if (const double level = common_weight(kind); level > 0.0) {
    image.weight.assign(size, level);
  } else {
    require(stamp.width == kind.width && stamp.height == kind.height, "image ", index,
            ": a stamp of ", stamp.width, " x ", stamp.height,
            " pixels needs its own noise: that of the template varies over its ", kind.width, " x ",
            kind.height, " pixels");
    image.weight = kind.weight;
  }
  for (std::size_t p = 0; stamp.mask != nullptr && p < size; ++p) {
    image.weight[p] = stamp.mask[p] != 0 ? 0.0 : image.weight[p];
  }
  if (stamp.pixels.is_single) {
    read_pixels(static_cast<const float*>(stamp.pixels.data), image.data, image.weight);
  } else {
    read_pixels(static_cast<const double*>(stamp.pixels.data), image.data, image.weight);
  }
  if (stamp.on_device.device >= 0) image.on_device = usable(stamp, image);
  if (kind.likelihood == Likelihood::poisson) {
    const auto least = std::min_element(image.data.begin(), image.data.end());
    require(*least >= 0.0, "image ", index, ": data hold ", *least,
            ", and must not be negative with the Poisson likelihood");
  }
  return image;
}

Psf read_psf(const Stamp& stamp) {
  if (stamp.psf_pixels.data == nullptr) return *stamp.psf;
  Psf psf = *stamp.psf;
  psf.data.resize(at(psf.nx) * at(psf.ny));
  double sum = 0.0;
  for (std::size_t p = 0; p < psf.data.size(); ++p) sum += psf.data[p] = stamp.psf_pixels[p];
  require(std::isfinite(sum) && sum > 0.0, "psf: sum = ", sum, " must be positive");
  for (double& value : psf.data) value /= sum;
  return psf;
}

// Plane position of an image pixel, by Newton's iteration on the map's way back.
void plane_of_pixel(const LocalMap& map, const double pixel[2], double plane[2]) {
  const double* q = map.quadratic;
  double offset[2] = {};  // on the plane
  for (int step = 0; step < 8; ++step) {
    const double xx = offset[0] * offset[0], xy = offset[0] * offset[1], yy = offset[1] * offset[1];
    double rest[2];
    for (int i = 0; i < 2; ++i) {
      rest[i] =
          pixel[i] - map.anchor_pixel[i] - (q[3 * i] * xx + q[3 * i + 1] * xy + q[3 * i + 2] * yy);
    }
    for (int i = 0; i < 2; ++i) {
      offset[i] = map.jacobian[2 * i] * rest[0] + map.jacobian[2 * i + 1] * rest[1];
    }
  }
  for (int i = 0; i < 2; ++i) plane[i] = map.anchor_plane[i] + offset[i];
}

void set_jacobian(LocalMap& map, const double* j, const double centre[2]) {
  const double det = j[0] * j[3] - j[1] * j[2];
  require(std::isfinite(det) && det != 0.0, "the jacobian (", j[0], ", ", j[1], ", ", j[2], ", ",
          j[3], ") of a stamp must be finite and not singular");
  plane_of_pixel(map, centre, map.anchor_plane);
  std::copy_n(centre, 2, map.anchor_pixel);
  std::copy_n(j, 4, map.jacobian);
  const double inverse[4] = {j[3] / det, -j[1] / det, -j[2] / det, j[0] / det};
  std::copy_n(inverse, 4, map.inverse);
  std::fill_n(map.quadratic, 6, 0.0);
  map.pixel_area = std::abs(det);
}

void fit_to_stamp(TileSpec& tile, const ImageSpec& kind, const ImageSpec& image,
                  const Stamp& stamp) {
  LocalMap& map = tile.geometry.map;
  if (stamp.jacobian != nullptr) {
    const double centre[2] = {0.5 * (kind.width - 1), 0.5 * (kind.height - 1)};
    set_jacobian(map, stamp.jacobian, centre);
  }
  if (image.width == kind.width && image.height == kind.height) return;
  map.anchor_pixel[0] += 0.5 * (image.width - kind.width);
  map.anchor_pixel[1] += 0.5 * (image.height - kind.height);
  tile.x_begin = tile.y_begin = 0;
  tile.x_end = image.width;
  tile.y_end = image.height;
}

void copy_given(const double* given, std::vector<double>& values) {
  if (given != nullptr) std::copy_n(given, values.size(), values.begin());
}

}  // namespace

SceneSpec stamp_spec(const SceneSpec& kind, std::span<const Stamp> stamps,
                     const StampParameters& parameters) {
  require(stamps.size() == kind.images.size(), "an object has ", stamps.size(),
          " stamps, the template ", kind.images.size(), " images");
  SceneSpec spec;
  for (std::size_t i = 0; i < stamps.size(); ++i) {
    spec.images.push_back(read_image(kind.images[i], stamps[i], i));
  }
  spec.tiles = kind.tiles;
  std::vector<int> own_psf(stamps.size(), -1);
  const bool all_own =
      std::all_of(stamps.begin(), stamps.end(), [](const Stamp& s) { return s.psf != nullptr; });
  if (!all_own) spec.psfs = kind.psfs;
  for (std::size_t i = 0; i < stamps.size(); ++i) {
    if (stamps[i].psf == nullptr) continue;
    own_psf[i] = static_cast<int>(spec.psfs.size());
    spec.psfs.push_back(read_psf(stamps[i]));
  }
  for (TileSpec& tile : spec.tiles) {
    const auto i = at(tile.image);
    const ComponentKind what = tile.geometry.kind;
    const bool blurred = what == ComponentKind::profile || what == ComponentKind::point;
    if (blurred && own_psf[i] >= 0) tile.psf = own_psf[i];
    fit_to_stamp(tile, kind.images[i], spec.images[i], stamps[i]);
  }
  spec.parameters = kind.parameters;
  spec.tolerance = kind.tolerance;
  spec.precision = kind.precision;
  copy_given(parameters.start, spec.parameters.start);
  copy_given(parameters.lower, spec.parameters.lower);
  copy_given(parameters.upper, spec.parameters.upper);
  copy_given(parameters.constants, spec.parameters.constants);
  return spec;
}

}  // namespace jointlight
