// SPDX-License-Identifier: BSD-3-Clause
// SceneBuilder: collects what Python compiled into a SceneSpec.
#include "backend/cpu/cpu_backend.hpp"
#include "bindings/bindings.hpp"
#include "bindings/scene_handle.hpp"
#include "scene/profile_registry.hpp"

namespace jointlight {

// add_psf.cpp
int add_psf_array(SceneSpec& spec, const Array& array, int oversampling,
                  std::pair<double, double> center, const std::string& kind);
int add_psf_analytic(SceneSpec& spec, const std::string& profile, const std::vector<double>& params,
                     double extent_px, const std::string& kind);

namespace {

int add_image(SceneSpec& spec, const Array& data, const Array& weight,
              const std::string& likelihood) {
  check_shape("data", data, {-1, -1});
  check_shape("weight", weight, {data.shape(0), data.shape(1)});
  require(likelihood == "gaussian" || likelihood == "poisson", "likelihood = '", likelihood,
          "', allowed: 'gaussian', 'poisson'");
  spec.images.push_back({static_cast<int>(data.shape(1)), static_cast<int>(data.shape(0)),
                         to_vector<double>(data), to_vector<double>(weight),
                         likelihood == "poisson" ? Likelihood::poisson : Likelihood::gaussian});
  return static_cast<int>(spec.images.size()) - 1;
}

int add_tile(SceneSpec& spec, const std::string& profile, int image, int psf,
             const std::array<int, 4>& window, const std::array<double, 2>& anchor_pixel,
             const std::array<double, 2>& anchor_plane, const Array& jacobian,
             const Array& quadratic, const IntArray& slots, const std::string& amplitude,
             int source, const IntArray& image_slots, const std::array<double, 2>& pivot) {
  check_shape("jacobian", jacobian, {2, 2});
  check_shape("quadratic", quadratic, {2, 3});
  require(amplitude == "brightness" || amplitude == "flux", "amplitude = '", amplitude,
          "', allowed: 'brightness', 'flux'");
  require(source >= 0, "source = ", source, " must not be negative");
  TileSpec tile;
  TileGeometry& g = tile.geometry;
  if (profile == "point" || profile == "flat_sky" || profile == "plane_sky") {
    g.kind = profile == "point"      ? ComponentKind::point
             : profile == "flat_sky" ? ComponentKind::flat_sky
                                     : ComponentKind::plane_sky;
    g.n_slots = profile == "flat_sky" ? 1 : 3;
  } else {
    g.profile = find_profile(profile);
    require(g.profile >= 0, "profile: '", profile, "' is not known");
    g.n_shape = profile_registry()[static_cast<std::size_t>(g.profile)].n_shape;
    g.n_slots = 6 + g.n_shape;
    g.amplitude_is_flux = amplitude == "flux";
  }
  for (int i = 0; i < 2; ++i) {
    g.map.anchor_pixel[i] = anchor_pixel[static_cast<std::size_t>(i)];
    g.map.anchor_plane[i] = anchor_plane[static_cast<std::size_t>(i)];
  }
  const double* j = jacobian.data();
  const double det = j[0] * j[3] - j[1] * j[2];
  std::copy_n(j, 4, g.map.jacobian);
  const double inverse[4] = {j[3] / det, -j[1] / det, -j[2] / det, j[0] / det};
  std::copy_n(inverse, 4, g.map.inverse);
  std::copy_n(quadratic.data(), 6, g.map.quadratic);
  g.map.pixel_area = std::abs(det);
  tile.image = image;
  tile.psf = psf;
  tile.x_begin = window[0];
  tile.x_end = window[1];
  tile.y_begin = window[2];
  tile.y_end = window[3];
  tile.source = source;
  tile.slots = to_vector<int>(slots);
  if (image_slots.size() > 0) {
    check_shape("image_slots", image_slots, {n_calibration});
    require(g.kind == ComponentKind::profile || g.kind == ComponentKind::point,
            "image_slots: a sky has none");
    g.calibrated = true;
    for (int i = 0; i < 2; ++i) g.pivot[i] = pivot[static_cast<std::size_t>(i)];
    tile.slots.insert(tile.slots.end(), image_slots.data(), image_slots.data() + n_calibration);
  }
  spec.tiles.push_back(std::move(tile));
  return static_cast<int>(spec.tiles.size()) - 1;
}

void set_parameters(SceneSpec& spec, int n_free, const Array& start, const Array& lower,
                    const Array& upper, const IntArray& indptr, const IntArray& indices,
                    const Array& coefs, const Array& constants, const Array& prior_mean,
                    const Array& prior_sigma, const py::list& functions) {
  ParameterSpec p;
  p.n_free = n_free;
  p.n_slots = static_cast<int>(constants.size());
  p.start = to_vector<double>(start);
  p.lower = to_vector<double>(lower);
  p.upper = to_vector<double>(upper);
  p.row_start = to_vector<int>(indptr);
  p.indices = to_vector<int>(indices);
  p.coefficients = to_vector<double>(coefs);
  p.constants = to_vector<double>(constants);
  p.prior_mean = to_vector<double>(prior_mean);
  p.prior_sigma = to_vector<double>(prior_sigma);
  for (const py::handle& item : functions) {
    const auto entry = py::cast<py::tuple>(item);
    p.functions.push_back(make_function_tie(entry[0], to_vector<int>(py::cast<IntArray>(entry[1])),
                                            to_vector<int>(py::cast<IntArray>(entry[2]))));
  }
  spec.parameters = std::move(p);
}

void set_precision(SceneSpec& spec, const std::string& name) {
  require(name == "float64" || name == "mixed", "precision = '", name,
          "', allowed: 'float64', 'mixed'");
  spec.precision = name == "mixed" ? Precision::mixed : Precision::float64;
}

}  // namespace

void bind_builder(py::module_& m) {
  py::class_<SceneSpec>(m, "SceneBuilder", "Collects images, PSFs, tiles and parameters.")
      .def(py::init<>())
      .def("add_image", &add_image, py::arg("data"), py::arg("weight"),
           py::arg("likelihood") = "gaussian")
      .def("add_psf_array", &add_psf_array, py::arg("array"), py::arg("oversampling"),
           py::arg("center"), py::arg("kind") = "effective")
      .def("add_psf_analytic", &add_psf_analytic, py::arg("profile"), py::arg("params"),
           py::arg("extent_px"), py::arg("kind") = "optical")
      .def("add_tile", &add_tile, py::arg("profile"), py::arg("image"), py::arg("psf"),
           py::arg("window"), py::arg("anchor_pixel"), py::arg("anchor_plane"), py::arg("jacobian"),
           py::arg("quadratic"), py::arg("slots"), py::arg("amplitude") = "brightness",
           py::arg("source") = 0, py::arg("image_slots") = IntArray(0),
           py::arg("pivot") = std::array<double, 2>{0.0, 0.0})
      .def("set_parameters", &set_parameters, py::arg("n_free"), py::arg("start"), py::arg("lower"),
           py::arg("upper"), py::arg("indptr"), py::arg("indices"), py::arg("coefs"),
           py::arg("const"), py::arg("prior_mean"), py::arg("prior_sigma"),
           py::arg("functions") = py::list())
      .def("set_precision", &set_precision, py::arg("name"))
      .def("build", &build_scene, py::arg("n_threads") = 0,
           py::arg("memory_mb") = static_cast<double>(default_field_bytes) / 1048576.0,
           py::arg("tolerance") = default_tolerance, py::arg("backend") = "cpu");
}

}  // namespace jointlight
