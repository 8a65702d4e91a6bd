// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/stamp_table.hpp"

#include <pybind11/stl.h>

#include <string>

namespace jointlight {
namespace {

struct Plane {
  NumberView values;
  py::ssize_t height = 0, width = 0;
};

NumberView view_of(const std::string& name, const py::array& array, const void* data) {
  const py::dtype type = array.dtype();
  const bool single = type.equal(py::dtype::of<float>());
  if (name == "mask") {
    require(type.equal(py::dtype::of<bool>()), "mask: must hold bool");
  } else {
    require(single || type.equal(py::dtype::of<double>()), name, ": must hold float32 or float64");
  }
  require((array.flags() & py::array::c_style) != 0, name, ": must be C-contiguous");
  return {data, single};
}

// One 2-d array of each object, from [n, h, w] or a list; nothing for None.
std::vector<Plane> planes(const char* name, const py::object& given, std::size_t n,
                          std::vector<py::object>& kept) {
  std::vector<Plane> out;
  if (given.is_none()) return out;
  kept.push_back(given);
  if (py::isinstance<py::list>(given)) {
    const auto list = py::reinterpret_borrow<py::list>(given);
    require(list.size() == n, name, " has ", list.size(), " entries, expected ", n);
    for (const py::handle& item : list) {
      Plane plane;
      if (!item.is_none()) {
        const auto array = py::cast<py::array>(item);
        check_shape(name, array, {-1, -1});
        plane = {view_of(name, array, array.data()), array.shape(0), array.shape(1)};
        kept.push_back(array);
      }
      out.push_back(plane);
    }
    return out;
  }
  const auto array = py::cast<py::array>(given);
  check_shape(name, array, {static_cast<py::ssize_t>(n), -1, -1});
  const NumberView all = view_of(name, array, array.data());
  const auto stride = static_cast<std::size_t>(array.shape(1) * array.shape(2) * array.itemsize());
  for (std::size_t i = 0; i < n; ++i) {
    const void* data = static_cast<const char*>(all.data) + i * stride;
    out.push_back({{data, all.is_single}, array.shape(1), array.shape(2)});
  }
  return out;
}

void same_shape(const char* name, const Plane& plane, const Stamp& stamp) {
  require(plane.height == stamp.height && plane.width == stamp.width, name, " has shape (",
          plane.height, ", ", plane.width, "), expected (", stamp.height, ", ", stamp.width, ")");
}

}  // namespace

StampTable::StampTable(std::size_t n, const py::list& images)
    : n_(n), n_images_(images.size()), stamps_(n * n_images_) {
  for (std::size_t i = 0; i < n_images_; ++i) read(i, py::cast<py::dict>(images[i]));
}

void StampTable::read(std::size_t image, const py::dict& given) {
  const auto each = [&](const std::vector<Plane>& list, const auto& body) {
    for (std::size_t k = 0; k < list.size(); ++k) {
      Stamp& stamp = stamps_[k * n_images_ + image];
      if (list[k].values.data != nullptr) body(stamp, list[k]);
    }
  };
  each(planes("data", given["pixels"], n_, kept_), [](Stamp& stamp, const Plane& plane) {
    stamp.height = static_cast<int>(plane.height);
    stamp.width = static_cast<int>(plane.width);
    stamp.pixels = plane.values;
  });
  const auto kind = py::cast<std::string>(given["kind"]);
  const py::object noise = given["noise"];
  const bool is_level = py::isinstance<py::array>(noise) && py::cast<py::array>(noise).ndim() == 1;
  const auto levels = is_level ? to_vector<double>(py::cast<Array>(noise)) : std::vector<double>();
  require(!is_level || levels.size() == n_, "noise has ", levels.size(), " entries, expected ", n_);
  const auto psf = given["psfs"].is_none() ? std::vector<int>()
                                           : to_vector<int>(py::cast<IntArray>(given["psf"]));
  const SceneSpec* psfs = psf.empty() ? nullptr : &py::cast<const SceneSpec&>(given["psfs"]);
  require(psf.empty() || psf.size() == n_, "psf has ", psf.size(), " entries, expected ", n_);
  const auto matrices = py::cast<py::object>(given["jacobian"]);
  const double* jacobian = nullptr;
  if (!matrices.is_none()) {
    const auto array = py::cast<Array>(matrices);
    check_shape("jacobian", array, {static_cast<py::ssize_t>(n_), 2, 2});
    jacobian = array.data();
    kept_.push_back(array);
  }
  if (psfs != nullptr) kept_.push_back(given["psfs"]);
  for (std::size_t k = 0; k < n_; ++k) {
    Stamp& stamp = stamps_[k * n_images_ + image];
    stamp.kind = kind == "variance" ? NoiseKind::variance
                 : kind == "std"    ? NoiseKind::std
                                    : NoiseKind::weight;
    stamp.is_level = is_level;
    if (is_level) stamp.level = levels[k];
    if (psfs != nullptr && psf[k] >= 0)
      stamp.psf = &psfs->psfs.at(static_cast<std::size_t>(psf[k]));
    if (jacobian != nullptr) stamp.jacobian = jacobian + 4 * k;
  }
  if (!is_level) {
    each(planes("noise", noise, n_, kept_), [](Stamp& stamp, const Plane& plane) {
      same_shape("noise", plane, stamp);
      stamp.noise = plane.values;
    });
  }
  read_addresses(image, given);
  each(planes("mask", given["mask"], n_, kept_), [](Stamp& stamp, const Plane& plane) {
    same_shape("mask", plane, stamp);
    stamp.mask = static_cast<const std::uint8_t*>(plane.values.data);
  });
  each(planes("psf_pixels", given["psf_pixels"], n_, kept_), [](Stamp& stamp, const Plane& plane) {
    const bool fits =
        stamp.psf != nullptr && plane.height == stamp.psf->ny && plane.width == stamp.psf->nx;
    require(fits, "psf_pixels has shape (", plane.height, ", ", plane.width, "), not the PSF's");
    stamp.psf_pixels = plane.values;
  });
}

void StampTable::read_addresses(std::size_t image, const py::dict& given) {
  const int device = py::cast<int>(given["device"]);
  if (device < 0) return;
  const auto read = [&](const char* name, const double* DevicePixels::* member) {
    if (given[name].is_none()) return;
    const auto at = py::cast<py::array_t<std::uint64_t, py::array::c_style>>(given[name]);
    check_shape(name, at, {static_cast<py::ssize_t>(n_)});
    for (std::size_t k = 0; k < n_; ++k) {
      DevicePixels& there = stamps_[k * n_images_ + image].on_device;
      there.device = device;
      there.*member = reinterpret_cast<const double*>(at.data()[k]);
    }
  };
  read("pixels_at", &DevicePixels::data);
  read("noise_at", &DevicePixels::weight);
}

}  // namespace jointlight
